// What a policy makes of scores: the same rules as guardrail/policy.py, without another run of the model.

/** Return {action, reason, findings}: the most severe action that any score over its threshold calls for. */
function decide(explanation, policy) {
  const findings = [];
  for (const sentence of explanation.sentences) {
    for (const stretch of sentence.stretches) {
      if (stretch.score >= policy.thresholds[stretch.label]) findings.push({ ...stretch, sentence });
    }
  }
  const counted = findings.filter((f) => policy.actions[f.label] !== "allow");
  const rank = (action) => policy.severity.indexOf(action);
  const action = counted.map((f) => policy.actions[f.label]).reduce((a, b) => (rank(b) > rank(a) ? b : a), "allow");
  const labels = [...new Set(counted.filter((f) => policy.actions[f.label] === action).map((f) => f.label))].sort();
  const reason = action === "allow" ? "nothing flagged" : `${action}: ${labels.join(", ")}`;
  return { action, reason, findings: counted };
}

/** Return the action that is taken: what was decided, or mask where nothing but masks comes of it. */
function taken(action, changes) {
  return action === "rewrite" && changes.every((c) => c.text !== null && (!c.rewrite || c.rewrite.masked)) ? "mask" : action;
}

/** Return the stretches that a policy changes: [{start, end, text, rewrite}], text null where no rewrite is known. */
function changesOf(decision, policy, rewrites) {
  const changes = [];
  for (const f of decision.findings) {
    const what = policy.actions[f.label];
    if (what === "mask") changes.push({ start: f.start, end: f.end, text: policy.mask });
    if (what !== "rewrite") continue;
    const known = rewrites.find((r) => r.start <= f.sentence.start && r.end >= f.sentence.end);
    const place = known ?? f.sentence;
    changes.push({ start: place.start, end: place.end, text: known ? known.replacement : null, rewrite: known });
  }
  changes.sort((a, b) => a.start - b.start || b.end - a.end);
  const kept = [];
  for (const change of changes) {
    if (!kept.length || change.start >= kept.at(-1).end) kept.push(change);
  }
  return kept;
}

const number = (value) => (Number.isInteger(value) ? value.toFixed(1) : String(value));

/** Return the policy as a file for ``guardrail serve --policy`` and ``Guard.from_config``. */
function tomlOf(policy) {
  const rows = (table, value) => Object.keys(policy.thresholds).map((label) => `${label} = ${value(table[label])}`);
  return [
    "[policy.thresholds]", ...rows(policy.thresholds, number), "",
    "[policy.actions]", ...rows(policy.actions, (action) => `"${action}"`), "",
  ].join("\n");
}
