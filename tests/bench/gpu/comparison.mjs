// Record how the page's example is written without its drafter and with it, chunk by chunk, for comparison.py:
//
//     node --experimental-websocket comparison.mjs PORT URL >comparison.json
//
// PORT is a Chromium's debugging port, URL the page's. The third of five rounds is kept.
const [port, url] = process.argv.slice(2);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const { webSocketDebuggerUrl } = await (await fetch(`http://127.0.0.1:${port}/json/version`)).json();
const socket = new WebSocket(webSocketDebuggerUrl);
await new Promise((resolve, reject) => Object.assign(socket, { onopen: resolve, onerror: reject }));
const waiting = new Map();
socket.onmessage = ({ data }) => {
  const message = JSON.parse(data);
  waiting.get(message.id)?.(message.result);
  waiting.delete(message.id);
};
const send = (method, params, sessionId) =>
  new Promise((resolve) => {
    const id = waiting.size + 1;
    waiting.set(id, resolve);
    socket.send(JSON.stringify({ id, method, params, sessionId }));
  });
const { targetId } = await send("Target.createTarget", { url });
const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
const evaluate = async (expression) => {
  const options = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await send("Runtime.evaluate", options, sessionId);
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description);
  return result.value;
};

// The page writes its first brief unasked; then it is idle.
for (let numReady = 0; numReady < 10; await sleep(200)) {
  numReady = (await evaluate(`document.querySelector("leadout-chat")?.state`)) === "ready" ? numReady + 1 : 0;
}
const recorded = await evaluate(`(async () => {
  const { engine } = document.querySelector("leadout-chat");
  const { EXAMPLE_TABLE, NANO_SYSTEM } = await import(new URL("./market_table.js", document.baseURI).href);
  const messages = [
    { role: "system", content: NANO_SYSTEM },
    { role: "user", content: EXAMPLE_TABLE.trim() + "\\n\\nWrite a brief." },
  ];
  const rounds = [];
  for (let round = 0; round < 5; round++) {
    const found = {};
    for (const drafter of ["none", "auto"]) {
      const began = performance.now();
      const stream = await engine.chat.completions.create({ messages, temperature: 0, stream: true, drafter });
      found[drafter] = [];
      for await (const { choices, leadout } of stream) {
        const text = choices[0]?.delta.content;
        if (text) found[drafter].push([performance.now() - began, text, leadout.is_draft]);
      }
    }
    rounds.push(found);
  }
  return { device: engine.info.device, model: engine.info.name, ...rounds[2] };
})()`);
console.log(JSON.stringify(recorded));
await send("Browser.close");
process.exit(0);
