import { Leadout } from "leadout";
import { serveEngine } from "leadout/server";
import OpenAI from "openai";
import { model } from "../model.js";

const app = document.getElementById("app");
app.innerHTML = `
  <form>
    <input name="text" aria-label="Message" value="Say hello.">
    <button>Ask /v1/chat/completions</button>
    <output>starting</output>
  </form>
  <pre></pre>`;
const [form, state, answer] = ["form", "output", "pre"].map((name) => app.querySelector(name));

// It answers what pages in its folder ask, and this page lies there.
await navigator.serviceWorker.register("./sw.js", { type: "module" });

// The first tab loads the model, and all tabs of the site ask it.
const server = serveEngine(() => Leadout.load({ model }));
await server.ready;
const baseURL = `${location.origin}/v1`;
const client = new OpenAI({ baseURL, apiKey: "none", dangerouslyAllowBrowser: true });
state.textContent = "ready";

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  answer.textContent = "";
  state.textContent = "streaming";
  try {
    const messages = [{ role: "user", content: String(new FormData(form).get("text")) }];
    const stream = await client.chat.completions.create({ model: "leadout", messages, stream: true });
    for await (const chunk of stream) answer.append(chunk.choices[0]?.delta.content ?? "");
    state.textContent = "done";
  } catch (error) {
    state.textContent = `${error.name}: ${error.message}`;
  }
});
