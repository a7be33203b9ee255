import { HumanMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatLeadout } from "leadout/langchain";
import { model } from "../model.js";

const app = document.getElementById("app");
app.innerHTML = `
  <form>
    <input name="text" aria-label="Message" value="How is the weather in Paris?">
    <button>Send</button>
    <output></output>
  </form>
  <ul aria-label="Calls"></ul>
  <pre aria-live="polite"></pre>`;
const [form, state, calls, answer] = ["form", "output", "ul", "pre"].map((name) => app.querySelector(name));

/** The model may call it; it runs in the page, and the model goes on with what it returns. */
const weather = tool(({ city }) => `It is clear in ${city}, 21 °C.`, {
  name: "weather",
  description: "How the weather is in a city",
  schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});

// The model loads with the first message.
const chat = new ChatLeadout({ model, temperature: 0 }).bindTools([weather]);
const messages = [];

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  messages.push(new HumanMessage(String(new FormData(form).get("text"))));
  answer.textContent = "";
  calls.replaceChildren();
  state.textContent = "streaming";
  try {
    while (await writeOn());
    state.textContent = "done";
  } catch (error) {
    state.textContent = `${error.name}: ${error.message}`;
  }
});

/** Have the model write, and call what it asks for. Resolves with whether it waits for results. */
async function writeOn() {
  let message;
  for await (const chunk of await chat.stream(messages)) {
    answer.append(chunk.text);
    message = message?.concat(chunk) ?? chunk;
  }
  messages.push(message);
  for (const call of message.tool_calls) {
    const result = await weather.invoke(call);
    messages.push(result);
    const item = document.createElement("li");
    item.textContent = `${call.name}(${JSON.stringify(call.args)}): ${result.content}`;
    calls.append(item);
  }
  return message.tool_calls.length > 0;
}
