import { Leadout, type Engine } from "leadout";
import { useEffect, useRef, useState, type FormEvent } from "react";
import type { LeadoutChat } from "leadout/define";
import { model } from "../model.js";

/** The conversation, as the element gives it and takes it: here it survives a reload. */
const kept = JSON.parse(localStorage.getItem("react") ?? "null") ?? undefined;

/** Outside of the component, so that it is the same object at every render. */
const settings = { temperature: 0 };

export function App() {
  const [engine, setEngine] = useState<Engine | null>(null);
  const [numTokens, setNumTokens] = useState(0);
  const [sent, setSent] = useState("");
  const first = useRef<LeadoutChat>(null);

  // One model for all elements of the page. `parallel`: two answers at once.
  useEffect(() => {
    const ending = new AbortController();
    const loading = Leadout.load({ model, parallel: 2, signal: ending.signal });
    loading.then(setEngine, (error) => ending.signal.aborted || console.error(error));
    return () => {
      ending.abort();
      loading.then((loaded) => loaded.dispose(), () => {});
    };
  }, []);

  function keep() {
    localStorage.setItem("react", JSON.stringify(first.current!.conversation));
  }

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    setSent(String(new FormData(event.currentTarget).get("brief")));
  }

  return (
    <>
      <p>
        Tokens written on this page: <output>{numTokens}</output>
      </p>
      <leadout-chat
        ref={first}
        mode="chat"
        engine={engine}
        settings={settings}
        conversation={kept}
        onleadout-conversation={keep}
        onleadout-delta={({ detail }) => setNumTokens((before) => before + detail.tokens.length)}
      >
        <h2 slot="header">One</h2>
      </leadout-chat>
      <form onSubmit={submit}>
        <leadout-chat name="brief" required mode="chat" engine={engine}>
          <h2 slot="header">Two, a field of a form</h2>
        </leadout-chat>
        <button>Send the answer</button>
        <pre>{sent}</pre>
      </form>
    </>
  );
}
