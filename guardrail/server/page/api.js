// One door to the server; it asks for the key when the server wants one.

let apiKey = "";

class Refused extends Error {}

async function request(path, body) {
  for (;;) {
    const headers = apiKey ? { authorization: `Bearer ${apiKey}` } : {};
    if (body !== undefined) headers["content-type"] = "application/json";
    let answer;
    try {
      answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: JSON.stringify(body) });
    } catch {
      throw new Refused("The server cannot be reached.");
    }
    if (answer.status === 401) {
      await askForKey(apiKey !== "");
      continue;
    }
    if (answer.ok) return answer;
    const said = await answer.json().catch(() => null);
    throw new Refused(said?.error?.message ?? `The server answered with status ${answer.status}.`);
  }
}

const getJson = async (path, body) => (await request(path, body)).json();

function askForKey(refused) {
  const dialog = byId("asking");
  byId("refused").hidden = !refused;
  byId("key").value = "";
  return new Promise((resolve, reject) => {
    dialog.addEventListener("close", () => {
      apiKey = byId("key").value.trim();
      byId("key").value = "";
      if (apiKey) resolve();
      else reject(new Refused("This server wants an API key."));
    }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

/** Yield the events of a stream as [type, value]. */
async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (held + value).split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s).slice(0, 2)));
      yield [fields.event, JSON.parse(fields.data)];
    }
  }
}
