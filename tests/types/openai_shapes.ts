/**
 * The official client's types take what Leadout gives, and Leadout takes what is written for that client. Nothing
 * here runs: `make types` checks it.
 */

import type OpenAI from "openai";
import type { Engine } from "../../web/index.js";

type Chat = OpenAI.Chat.Completions.ChatCompletion;
type ChatChunk = OpenAI.Chat.Completions.ChatCompletionChunk;
type ChatStreaming = OpenAI.Chat.Completions.ChatCompletionCreateParamsStreaming;

declare const engine: Engine;
declare const client: OpenAI;

export async function objects(): Promise<[Chat, OpenAI.Completion]> {
  const messages = [{ role: "user", content: "Hello" }];
  return [
    await engine.chat.completions.create({ messages, logprobs: true, top_logprobs: 2, n: 2 }),
    await engine.completions.create({ prompt: "Hello", logprobs: 2 }),
  ];
}

export async function* chatChunks(): AsyncGenerator<ChatChunk> {
  const messages = [{ role: "user", content: "Hello" }];
  yield* await engine.chat.completions.create({ messages, stream: true });
}

export async function* completionChunks(): AsyncGenerator<OpenAI.Completion> {
  for await (const chunk of await engine.completions.create({ prompt: "Hello", stream: true })) {
    const [choice] = chunk.choices;
    // OpenAI's type knows the last chunk's choices alone.
    if (choice.finish_reason !== null) {
      yield { ...chunk, usage: chunk.usage ?? undefined, choices: [{ ...choice, finish_reason: choice.finish_reason }] };
    }
  }
}

/** One function for both: what it asks for, and what it does with the chunks, are written in OpenAI's types. */
export async function read(either: { chat: { completions: ChatLike } }): Promise<string> {
  let text = "";
  const stream = await either.chat.completions.create({
    model: "any",
    messages: [{ role: "user", content: "Hello" }],
    stream: true,
    stream_options: { include_usage: true },
    presence_penalty: 0.5,
    frequency_penalty: 0.5,
    logit_bias: { "50256": -100 },
    logprobs: true,
    top_logprobs: 3,
    max_completion_tokens: 10,
    seed: 7,
    stop: ["\n"],
    user: "someone",
    n: 2,
    response_format: { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" }, strict: true } },
  });
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? "";
  }
  return text;
}

type Message = OpenAI.Chat.Completions.ChatCompletionMessageParam;

const tools: OpenAI.Chat.Completions.ChatCompletionFunctionTool[] = [
  { type: "function", function: { name: "price", parameters: { type: "object" }, strict: true } },
];

/** A round trip: what is called goes back with its result, all in OpenAI's types. */
export async function roundTrip(): Promise<Chat> {
  const said: { role: "user"; content: string }[] = [{ role: "user", content: "What does it cost?" }];
  const { message } = (await engine.chat.completions.create({ messages: said, tools, tool_choice: "auto" })).choices[0];
  const answered: Message = message;
  const results = (message.tool_calls ?? []).map((call) => ({
    role: "tool" as const,
    tool_call_id: call.id,
    content: JSON.stringify(JSON.parse(call.function.arguments)),
  }));
  const all: Message[] = [...said, answered, ...results];
  console.assert(all.length > 1);
  return engine.chat.completions.create({ messages: [...said, message, ...results], tools });
}

interface ChatLike {
  create(params: AsWritten): PromiseLike<AsyncIterable<ChatChunk>>;
}

/** Of OpenAI's messages, those of text. */
type AsWritten = Omit<ChatStreaming, "messages"> & { messages: { role: "user"; content: string }[] };

export const texts = [read(client), read({ chat: { completions: { create: ask } } })];

function ask(params: AsWritten): Promise<AsyncIterable<ChatChunk>> {
  const { stream, messages, stream_options, logit_bias, stop, n } = params;
  return engine.chat.completions.create({ stream, messages, stream_options, logit_bias, stop, n, tools });
}

// @ts-expect-error The official types would notice: a chunk's object has another name.
export const wrong: Pick<ChatChunk, "object"> = { object: "chat.completion" };
