/**
 * OpenAI's endpoints on the page's own origin, answered by the engine: any OpenAI client in the page works unchanged, and one
 * engine serves all tabs. In a service worker of the site:
 *
 *     import { answer } from "leadout/server";
 *     addEventListener("activate", (event) => event.waitUntil(clients.claim()));
 *     addEventListener("fetch", (event) => answer(event));
 *
 * and in its pages:
 *
 *     import { serveEngine } from "leadout/server";
 *     const server = serveEngine(() => Leadout.load({ model: "gemma-4-e2b" }));
 *     await server.ready;
 *     const client = new OpenAI({ baseURL: `${location.origin}/v1`, apiKey: "none", dangerouslyAllowBrowser: true });
 *
 * The tab that comes first loads the model and answers for all; the others load nothing. When it closes, the next one takes
 * over. Without a service worker, `engineFetch(engine)` is a `fetch` for one page's client.
 *
 * @module adapters/server
 */

export { engineFetch } from "./server/endpoint.js";
export { EngineServer, serveEngine } from "./server/host.js";
export { answer } from "./server/relay.js";
