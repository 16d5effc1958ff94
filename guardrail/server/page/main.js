// Tie the page together: what was judged, the policy on the page, and what follows from both.

const SAMPLES = {
  "A polite stereotype": "Women are too emotional to lead a team. The meeting is at nine, and lunch is at noon.",
  "Gendered terms": "The chairman thanked every nurse for her patience. A policeman closed the road before the parade.",
  "An insult": "Only an idiot forgets a password. Click on the link in the e-mail and choose a new one.",
  "Loaded words": "The council forced its draconian parking rule on residents. It applies from Monday to Friday.",
  "In disguise": "Some people say that w\u043emen cannot do math. He called the clerk an i d i o t.",
  "Clean, about groups": "Ramadan is the ninth month of the Islamic calendar. Many Muslims fast from dawn to sunset.",
};
const state = { server: null, policy: null, points: [], explanation: null, result: null, runs: 0, chosen: null };
const copyOf = (policy) => structuredClone(policy);
const isServers = () => JSON.stringify(state.policy) === JSON.stringify(state.server);

/** Show everything that follows from the scores and the policy on the page. */
function redecide() {
  byId("toml").textContent = tomlOf(state.policy);
  byId("copied").textContent = "";
  if (!state.explanation) return;
  const { explanation, policy, points, result } = state;
  const decision = decide(explanation, policy);
  const own = isServers();
  const blocked = ["block", "raise"].includes(own ? result.action : decision.action);
  const changes = blocked ? [] : changesOf(decision, policy, result.rewrites);
  const action = own ? result.action : taken(decision.action, changes);
  const reason = own ? result.reason : decision.reason;
  const judged = `${Math.round(explanation.coverage * 100)} % judged by ${explanation.model}`;
  showVerdict(action, reason, own ? `${judged} in ${Math.round(result.latency_ms)} ms` : `${judged}, with this page's policy`);
  showMarked(points, explanation.sentences, decision.findings, choose);
  if (state.chosen) showDetails(state.chosen, policy);
  byId("shown").textContent = blocked ? policy.block_message : own ? result.text : applied(points, changes);
  showChanges(points, changes);
}

function applied(points, changes) {
  let [text, at] = ["", 0];
  for (const change of changes) {
    text += points.slice(at, change.start).join("") + (change.text ?? points.slice(change.start, change.end).join(""));
    at = change.end;
  }
  return text + points.slice(at).join("");
}

function choose(sentence, node) {
  state.chosen = sentence;
  showDetails(sentence, state.policy, node);
}

async function check() {
  const text = byId("text").value;
  const [explanation, result] = await Promise.all([getJson("v1/detect", { text }), getJson("v1/check", { text })]);
  Object.assign(state, { points: pointsOf(text), explanation, result, chosen: null, runs: state.runs + 1 });
  byId("runs").textContent = state.runs;
  const worst = (sentence) => Math.max(...Object.entries(sentence.scores).map(([l, s]) => s - state.policy.thresholds[l]));
  state.chosen = explanation.sentences.reduce((a, b) => (a && worst(a) >= worst(b) ? a : b), null);
  redecide();
}

async function stream() {
  const begun = performance.now();
  byId("streaming").hidden = false;
  byId("pieces").replaceChildren();
  byId("ended").textContent = "Waiting for the first sentence …";
  const answer = await request("v1/stream", { chunks: chunksOf(byId("text").value) });
  for await (const [kind, value] of eventsOf(answer)) {
    const after = `${Math.round(performance.now() - begun)} ms`;
    if (kind === "text") {
      byId("pieces").append(make("span", { className: "piece" }, value.text, make("small", {}, after)));
    } else if (kind === "result") {
      byId("ended").textContent = `Ended after ${after}: ${value.action} (${value.reason}).`;
    } else throw new Refused(value.error.message);
  }
}

/** Run one thing at a time and say what went wrong. */
async function run(work) {
  const buttons = [byId("check"), byId("stream")];
  if (buttons.some((button) => button.disabled)) return;
  byId("problem").hidden = true;
  for (const button of buttons) button.disabled = true;
  try {
    await work();
  } catch (error) {
    byId("problem").textContent = error instanceof Refused ? error.message : "The page failed; reload it.";
    byId("problem").hidden = false;
    byId("ended").textContent = "";
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

async function copy() {
  try {
    await navigator.clipboard.writeText(byId("toml").textContent);
    byId("copied").textContent = "Copied.";
  } catch {
    byId("toml").closest("details").open = true;
    getSelection().selectAllChildren(byId("toml"));
    byId("copied").textContent = "Selected: press Ctrl+C.";
  }
}

function reset() {
  state.policy = copyOf(state.server);
  showRules(state.policy, redecide);
  redecide();
}

async function start() {
  state.server = await getJson("v1/policy");
  byId("about").textContent = `version ${state.server.version}`;
  reset();
}

byId("sample").append(make("option", { value: "" }, "choose one"), ...Object.keys(SAMPLES).map((name) => make("option", {}, name)));
byId("sample").addEventListener("change", (event) => {
  if (event.target.value) byId("text").value = SAMPLES[event.target.value];
});
byId("check").addEventListener("click", () => run(check));
byId("stream").addEventListener("click", () => run(stream));
byId("copy").addEventListener("click", copy);
byId("reset").addEventListener("click", reset);
byId("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(check); }
});
run(start);
