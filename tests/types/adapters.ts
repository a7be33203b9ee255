/**
 * What libraries want of a model is what the adapters are, in the libraries' own types; and our engine on a server is the
 * engine of a tab. Nothing here runs: `make types` checks it.
 */

/// <reference types="dom-chromium-ai" />

import type { BaseChatModel } from "@langchain/core/language_models/chat_models";
import type { LanguageModelV4, ProviderV4 } from "@ai-sdk/provider";
import type { ChatTransport, UIMessage } from "ai";
import type OpenAI from "openai";
import { streamText } from "ai";
import { createLeadout, leadout, LeadoutChatTransport } from "../../web/adapters/ai_sdk.js";
import { ChatLeadout } from "../../web/adapters/langchain.js";
import { languageModel } from "../../web/adapters/prompt_api.js";
import { LeadoutRemote } from "../../web/adapters/remote.js";
import { engineFetch, serveEngine } from "../../web/adapters/server.js";
import { Engine, Leadout } from "../../web/index.js";

declare const engine: Engine;

export const model: LanguageModelV4 = leadout("gemma-4-e2b", { drafter: "auto" });
export const provider: ProviderV4 = createLeadout({ drafter: "none" });
export const transport: ChatTransport<UIMessage> = new LeadoutChatTransport(leadout(engine), { system: "Be brief." });
export const text = streamText({ model: leadout(engine), prompt: "Hello" }).text;
export const chat: BaseChatModel = new ChatLeadout({ engine, temperature: 0.5 });

/** What browsers have in extensions alone, or have had. */
type Older = "inputUsage" | "inputQuota" | "measureInputUsage" | "onquotaoverflow" | keyof EventTarget | "clone";

export async function prompt(): Promise<Omit<LanguageModel, Older>> {
  const own = languageModel("gemma-4-e2b", { browser: "prefer" });
  const available: Availability = await own.availability({ expectedInputs: [{ type: "text", languages: ["en"] }] });
  console.assert(available !== "unavailable");
  const options: LanguageModelCreateOptions = { initialPrompts: [{ role: "system", content: "Be brief." }] };
  return own.create(options as Parameters<typeof own.create>[0]);
}

/** A page's own code does not know which it has. */
export async function load(isSmall: boolean): Promise<Engine> {
  return isSmall
    ? LeadoutRemote.load({ baseURL: "https://gpu.example/v1", model: "gemma", onPhase: console.log })
    : Leadout.load({ model: "gemma-4-e2b", onPhase: console.log });
}

export const options: ConstructorParameters<typeof OpenAI>[0] = { fetch: engineFetch(engine), apiKey: "none" };
export const server = serveEngine(() => load(true));

// @ts-expect-error A parameter that is misspelt.
export const misspelt = leadout(engine, { draftr: "none" });
