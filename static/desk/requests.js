/**
 * Counts the requests, and shows the count on the page. Requests to load a model are counted separately. Files and texts
 * cause no requests.
 *
 * @module desk/requests
 */

import { h, watchRequests } from "../desk_parts.js";

const PAGE = "this page";
const DESK = "the desk's Python";

/** Phases of the element in which a model is being loaded. */
const LOADING = /^(loading_|compiling_|warming_)/;

const part = (id) => document.getElementById(id);

export class Ledger {
  /** @type {{who: string, url: string, at: number}[]} */
  #requests = [];
  /** When the page was ready; null before. @type {number | null} */
  #readyAt = null;
  /** Times when models were loaded: [start, end]. @type {[number, number][]} */
  #loads = [];
  #chat;
  #isSeen;

  /** @param {HTMLElement} chat the <leadout-chat> */
  constructor(chat) {
    this.#chat = chat;
    this.#isSeen = watchRequests((requests) => this.add(PAGE, requests));
    new MutationObserver(() => this.#takeState()).observe(chat, { attributeFilter: ["data-state"] });
    const policy = document.querySelector('meta[http-equiv="Content-Security-Policy"]')?.content ?? "";
    const allowed = /connect-src ([^;]*)/.exec(policy)?.[1] ?? "";
    part("policy").textContent = allowed
      ? `${allowed.replace("'self'", "this site")}. Hosts other than this site are only for models; the browser refuses all others.`
      : "what the server's headers say.";
  }

  /** @param {string} who @param {{url: string, at: number}[]} requests */
  add(who, requests) {
    // URLs that the page makes itself (for a file to save) are not sent over the network.
    const sent = requests.filter(({ url }) => /^https?:/.test(url));
    this.#requests.push(...sent.map((request) => ({ who, ...request })));
    this.#show();
  }

  /** Start to count. */
  begin() {
    this.#readyAt = Date.now();
    this.#takeState();
    this.#show();
  }

  #takeState() {
    const isLoading = LOADING.test(this.#chat.state);
    const last = this.#loads.at(-1);
    if (isLoading && (!last || last[1] !== Infinity)) {
      this.#loads.push([Date.now(), Infinity]);
    } else if (!isLoading && last?.[1] === Infinity) {
      last[1] = Date.now();
    }
    this.#show();
  }

  #show() {
    if (this.#readyAt === null) return;
    const since = this.#requests.filter(({ at }) => at > this.#readyAt);
    const ofLoads = since.filter(({ who, at }) => who !== DESK && this.#loads.some(([a, b]) => a <= at && at <= b));
    const others = since.filter((request) => !ofLoads.includes(request));
    const number = others.length === 1 ? "1 request" : `${others.length} requests`;
    const loads = ofLoads.length > 0 ? `, and ${ofLoads.length} to load a model` : "";
    part("requests").textContent = this.#isSeen
      ? `${number} since the page was ready${loads}.`
      : "This browser does not list the requests that were made.";
    part("requests").dataset.count = String(others.length);
    const rows = [PAGE, DESK, "the model"].flatMap((who) => [
      h("dt", {}, who[0].toUpperCase() + who.slice(1)),
      h("dd", {}, describe(others.filter((request) => request.who === who))),
    ]);
    rows.push(h("dt", {}, "To load a model"), h("dd", {}, describe(ofLoads)));
    part("requests-detail").replaceChildren(...rows);
  }
}

/** @param {{url: string}[]} requests */
function describe(requests) {
  const hosts = new Map();
  for (const { url } of requests) {
    const { origin, host } = new URL(url);
    const name = origin === location.origin ? "this site" : host;
    hosts.set(name, (hosts.get(name) ?? 0) + 1);
  }
  return hosts.size === 0 ? "0" : [...hosts].map(([host, count]) => `${count} to ${host}`).join(", ");
}
