import { useChat } from "@ai-sdk/react";
import { leadout, LeadoutChatTransport } from "leadout/ai-sdk";
import { useState, type FormEvent } from "react";
import { z } from "zod";
import { model } from "../model.js";

// A strict policy lets no code be made of text, which Zod would do to be faster.
z.config({ jitless: true });

/** The model may call it; it runs in the page, and the model goes on with what it returns. */
const weather = {
  description: "How the weather is in a city",
  inputSchema: z.object({ city: z.string() }),
  execute: ({ city }: { city: string }) => ({ city, sky: "clear", celsius: 21 }),
};

// No server takes part: the messages go to the engine of this tab.
const transport = new LeadoutChatTransport(leadout(model), { system: "Be brief.", tools: { weather } });

export function App() {
  const [text, setText] = useState("How is the weather in Paris?");
  const [loading, setLoading] = useState("");
  const { messages, sendMessage, status, stop, error } = useChat({
    transport,
    onData: ({ type, data }) => {
      if (type === "data-modelDownloadProgress") setLoading((data as { message: string }).message);
    },
  });
  const isBusy = status === "submitted" || status === "streaming";

  function submit(event: FormEvent) {
    event.preventDefault();
    sendMessage({ text });
    setText("");
  }

  return (
    <>
      <ol aria-live="polite">
        {messages.map(({ id, role, parts }) => (
          <li key={id} data-role={role}>
            <strong>{role === "user" ? "You" : "Model"}</strong>
            {parts.map((part, index) => {
              if (part.type === "text") return <p key={index}>{part.text}</p>;
              if (part.type === "tool-weather") return <pre key={index}>{JSON.stringify({ in: part.input, out: part.output })}</pre>;
              return null;
            })}
          </li>
        ))}
      </ol>
      <form onSubmit={submit}>
        <input aria-label="Message" value={text} onChange={({ target }) => setText(target.value)} />
        <button disabled={isBusy}>Send</button>
        <button type="button" onClick={stop} disabled={!isBusy}>
          Stop
        </button>
        <output>{status}</output>
      </form>
      <p role="alert">{error?.message}</p>
      <p>{loading}</p>
    </>
  );
}
