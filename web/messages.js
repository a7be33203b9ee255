/**
 * The whole contract between the client (a page) and the worker, and the only description of it.
 * Keep in step with pyapp/leadout/bridge, which handles every request but "boot".
 *
 * Requests carry an `id`, chosen by the client; every answer carries the same `id`. Names that
 * cross are snake_case on both sides.
 *
 * @module messages
 */

/** @import {Assets} from "./assets.js" */

/**
 * An error as it crosses: `name` is the Python class (see pyapp/leadout/errors.py) or a
 * DOMException's name such as "AbortError".
 * @typedef {{name: string, message: string, detail?: Record<string, unknown>}} ErrorMessage
 */

/**
 * Where a file of a model lies: exactly one of `url` and `file`. `size` is what a URL's content has to
 * have, in bytes, and `sha256` its hash, where that is known; the store checks both. `token` is sent to
 * the URL's own host, and kept nowhere.
 * @typedef {{name: string, url?: string, file?: Blob, size?: number | null, sha256?: string | null, token?: string}} FileRef
 */

/**
 * A model: a GGUF file (or all parts of a split one), or config.json with safetensors (and, if there,
 * tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja,
 * model.safetensors.index.json).
 * `source` is its address as it was asked for, and its name in the store: with it, the model is kept
 * there (web/store/), without, it is read from its URLs.
 * @typedef {{name: string, files: FileRef[], source?: string}} ModelRef
 */

/** A model for the store. @typedef {ModelRef & {source: string}} KeptModelRef */

/**
 * How a model gets into the store: its servers are asked what they have, another tab that fetches it
 * is waited for, what is kept is checked, the rest is fetched, done. `host` is who is asked.
 * @typedef {object} FetchEvent
 * @property {string} source
 * @property {string} name
 * @property {string} host
 * @property {"asking" | "waiting" | "checking" | "fetching" | "done"} state
 * @property {number} stored_bytes
 * @property {number} total_bytes
 * @property {number} bytes_per_s in the last seconds
 */

/**
 * In a ModelRef's place, for figures of speed: no files, but weights made up on the device. `shape` is
 * one of pyapp/leadout/checkpoint/synthetic.py; of a drafter, its target's.
 * With `has_vocabulary` it gets a made-up one, as answers that keep to a grammar need.
 * @typedef {{name: string, shape: string, has_vocabulary?: boolean}} ShapeRef
 */

/**
 * @typedef {object} LoadOptions
 * @property {number} [context_length] rows of KV cache; default: the model's, at most 4096
 * @property {"f32" | "f16"} [kv_dtype] storage of the KV cache; default "f32"
 * @property {number} [max_binding_bytes] pretend that the adapter allows no more (tests)
 * @property {number} [run_ahead] passes in flight for requests that say nothing, 1 to 8; default 3
 * @property {"auto" | "none" | "mtp" | "ngram"} [drafter] what proposes tokens; default "auto":
 *   "mtp" when the drafter's files are given, else nothing
 * @property {number} [max_draft_tokens] the most that a request may have drafted per cycle, 0 to 7;
 *   default 7, and 3 on an adapter that computes on the CPU. What that needs is compiled now; irrelevant
 *   without a drafter
 * @property {1 | 2 | 4 | 8} [parallel] requests that run at once; each has a KV cache of its own; default 1
 * @property {"accurate" | "fast"} [precision] "fast" lets decoding multiply quantised weights by activations of 8
 *   bits instead of 16; default "accurate"
 * @property {"auto" | "gpu" | "paged"} [placement] of the per-layer embeddings that some models have: on the
 *   device; in their file, from which rows are read as they are used; default "auto": paged where the device
 *   is known to have no room, or said so
 * @property {number} [paged_rows] rows that the device keeps of them, at least 256; default 64 MiB's worth
 * @property {number} [memory_bytes] what the device has, where somebody knows
 * @property {number} [kept_prompts] behind how many prompts the keys and values of sliding layers are kept, 0 to 64;
 *   default: one more than `parallel`, as far as that is little beside all else
 */

/**
 * A completion (`prompt`, or `prompt_ids`) or a chat (`messages`), in OpenAI's names. The drafter and
 * what it is asked for change the speed, never the tokens.
 * @typedef {object} GenerateRequest
 * @property {string} [prompt]
 * @property {number[]} [prompt_ids]
 * @property {PromptMessage[]} [messages]
 * @property {ResponseFormat} [response_format] what the answer keeps to; of it and the next two, one at most
 * @property {string} [grammar] EBNF: rules name ::= …, of which one is called root
 * @property {string} [regex] a regular expression that the whole answer matches
 * @property {Tool[]} [tools] functions that the model may call, where its chat template knows of tools
 * @property {ToolChoice} [tool_choice] default "auto"
 * @property {boolean} [parallel_tool_calls] whether an answer may have several calls; default true
 * @property {number} [max_tokens] default 256
 * @property {number} [temperature] default 0 (greedy)
 * @property {number} [top_k] 0 = off
 * @property {number} [top_p] 1 = off
 * @property {number} [min_p] 0 = off
 * @property {number} [repetition_penalty] 1 = off
 * @property {number} [presence_penalty] -2 to 2, taken off the logits of tokens that were generated; 0 = off. It and
 *   the next are rounded to 1/4096
 * @property {number} [frequency_penalty] -2 to 2, taken off a token's logit for every time that it was generated
 * @property {Record<string, number>} [logit_bias] by token id, for up to 1,024 of them: -100 to 100, rounded to
 *   1/256 and added to its logit; -100 bans it
 * @property {number} [seed] any unsigned 32-bit integer; default 0
 * @property {boolean} [logprobs] tell each token's log-probability: the model's own, before temperature, penalties,
 *   biases and filters
 * @property {number} [top_logprobs] with it, tell those of the likeliest tokens, 0 to 20
 * @property {string[]} [stop] strings that end the text (they are not part of it): up to 16 of up to 256 characters
 * @property {boolean} [ignore_eos]
 * @property {number} [run_ahead] passes in flight, 1 to 8; changes the speed, never the tokens
 * @property {"auto" | "none" | "mtp" | "ngram"} [drafter] default "auto": what was loaded
 * @property {number | "auto"} [draft_tokens] drafted per cycle, 0 to 7, at most what was loaded for;
 *   default "auto": as many as pay, and on an adapter that computes on the CPU always 3
 * @property {boolean} [enable_thinking] have the chat template ask for reasoning; default false
 * @property {"error" | "drop_oldest"} [context_overflow] what becomes of a chat that does not fit: refuse it, the
 *   default, or leave out its oldest turns (pyapp/leadout/context_end.py). Nothing of other prompts is left out
 */

/**
 * A message of a chat, as the worker takes it. An answer that called tools has its calls, and each result's message
 * says whose it is.
 * @typedef {{role: string, content: string | null, tool_calls?: ToolCall[], tool_call_id?: string, name?: string}}
 *   PromptMessage
 */

/** What an answer keeps to. A schema is draft 2020-12's, of the keywords that static/docs/api.md names.
 * @typedef {{type: "text"} | {type: "json_object"} | {type: "json_schema", json_schema: {name: string,
 *   description?: string, schema?: Record<string, unknown>, strict?: boolean | null}}} ResponseFormat
 */

/** @typedef {{name: string, description?: string, parameters?: Record<string, unknown>, strict?: boolean | null}}
 *   FunctionDefinition
 */

/** `strict`: its calls keep to `parameters` even where the model is free to call it.
 * @typedef {{type: "function", function: FunctionDefinition}} Tool
 */

/** @typedef {"none" | "auto" | "required" | {type: "function", function: {name: string}}} ToolChoice */

/** A call; `arguments` is JSON. @typedef {{id: string, type: "function", function: {name: string, arguments: string}}}
 *   ToolCall
 */

/** More of a call: its first piece has the id and the name.
 * @typedef {{index: number, id?: string, type?: "function", function?: {name?: string, arguments?: string}}}
 *   ToolCallDelta
 */

/**
 * What a generation had brought when its worker was lost: the tokens of every pass that the client heard
 * of, the prompt's last one first, and how many drafts each verified. The worker that is asked again
 * goes on behind them. `ttft_ms` is what the first token took, `decode_ms` those behind it.
 * @typedef {{cycles: {tokens: number[], num_drafted: number}[], ttft_ms: number, decode_ms: number}} Resumption
 */

/**
 * What to profile, beside the sampling fields of a GenerateRequest.
 * @typedef {object} ProfileRequest
 * @property {"cycle" | "prefill"} [kind] default "cycle"
 * @property {number} [context_tokens] known before the pass; default 512
 * @property {number} [draft_tokens] of a cycle; default 0
 * @property {number} [parallel] lanes that take part in a cycle; default 1
 * @property {number} [rows] of a prefill pass: 32, 64 or 256, the default
 * @property {number} [temperature]
 * @property {number} [top_k]
 * @property {number} [top_p]
 * @property {number} [min_p]
 * @property {number} [repetition_penalty]
 * @property {number} [seed]
 */

/**
 * @typedef {object} ContextForecast
 * @property {number} context_length
 * @property {number} kv_cache_bytes
 * @property {number} total_bytes of all buffers
 * @property {boolean} fits within the limits that are known
 */

/**
 * The result of "estimate": what a load would take, from the files' headers alone.
 * @typedef {object} Forecast
 * @property {string} model
 * @property {string | null} drafter
 * @property {number} file_bytes of the files with weights
 * @property {number} read_bytes of these, what a load reads
 * @property {{weights_bytes: number, drafter_bytes: number, kv_cache_bytes: number, other_bytes: number,
 *   total_bytes: number, largest_buffer: string, largest_buffer_bytes: number}} memory on the device
 * @property {number} context_length
 * @property {"f32" | "f16"} kv_dtype
 * @property {number} max_context_length the longest context that fits; 0: none does
 * @property {ContextForecast[]} contexts what others take
 * @property {boolean} fits within the limits that are known
 * @property {string | null} problem why it does not fit, and what to do
 * @property {Placement} placement
 * @property {number} paging_saves_bytes what placement "paged" would take less; 0 where that is no choice
 * @property {{decode_tokens_per_s: number, cycle_ms: Record<string, number>, context_length: number,
 *   probe_ms: number} | null} probe with weights that were made up: what plain decoding gives, and what a
 *   cycle takes by its number of drafts, behind so many tokens
 */

/**
 * The client's requests. "pull" is not for the worker of an engine but for that of the store
 * (web/store/puller.js). "assume" takes ids as prefilled, where weights are made up.
 * "ping" is answered at once by worker.js itself, while Python waits for something. Requests are served
 * one after the other, but for "tokenize" once a model is loaded, and for every "generate" that follows another: they
 * run beside one another, as many as `parallel` says, and more wait for one of these to end.
 * "boot" and "pull" bring the engine's files, or the address of the assets.json that names them; `version` is the client's,
 * where the files might be of another one.
 * @typedef {{type: "boot", id: number, assets?: Assets | string, version?: string | null}
 *   | {type: "load", id: number, model: ModelRef | ShapeRef, drafter: ModelRef | ShapeRef | null, options: LoadOptions}
 *   | {type: "estimate", id: number, model: ModelRef | ShapeRef, drafter: ModelRef | ShapeRef | null, options: LoadOptions,
 *       probe: boolean | "auto"}
 *   | {type: "unload", id: number}
 *   | {type: "generate", id: number, request: GenerateRequest, resumption?: Resumption}
 *   | {type: "score", id: number, ids: number[]}
 *   | {type: "tokenize", id: number, text: string}
 *   | {type: "assume", id: number, ids: number[]}
 *   | {type: "profile", id: number, request: ProfileRequest}
 *   | {type: "pull", id: number, models: KeptModelRef[], options: import("./store/fetching.js").FetchOptions,
 *       assets: Assets | string}
 *   | {type: "ping", id: number}
 *   | {type: "abort", id: number, target: number}} ClientMessage
 */

/**
 * What a load waits for, in the order in which they pass; "failed" may follow any. Much of what comes
 * later has begun already: the device, the kernels and the model's first bytes are fetched while Python
 * starts, and kernels are compiled while weights stream. They are CSS states of the widget.
 *
 *     loading_runtime    Python
 *     loading_package    Leadout's part of it
 *     loading_weights    headers are read, weights are on their way to the device
 *     compiling_kernels  what is left of that when the weights are there
 *     warming_up         the self-test
 *     ready              requests are answered; cycles with drafts are compiled behind the first ones
 * @typedef {"loading_runtime" | "loading_package" | "loading_weights" | "compiling_kernels" | "warming_up" | "ready" | "failed"} Phase
 */

/**
 * How it went when the device's results for one row and for many were compared, bit for bit:
 * they were the same; they were not, and everything goes through the widest variant; it was switched
 * off; there was nothing to compare.
 * @typedef {"identical" | "widest" | "off" | "not run"} SelfTest
 */

/** Where per-layer embeddings lie; "none": nothing is worth paging. @typedef {"gpu" | "paged" | "none"} Placement */

/**
 * What paging took. `misses` are rows that were read, `hits` those that were there already. A repeated
 * cycle gave no token, because the row of its first one came later; a single one was queued with no other,
 * because misses were frequent.
 * @typedef {{hits: number, misses: number, read_bytes: number, repeated_cycles: number, single_cycles: number}} PageCounts
 */

/**
 * What drafts for a model; an n-gram drafter has no weights.
 * @typedef {{kind: "mtp" | "ngram", name: string, num_parameters: number, weights_bytes: number}} DrafterInfo
 */

/**
 * @typedef {object} ModelInfo the result of "load"
 * @property {string} name
 * @property {string} architecture
 * @property {number} num_parameters
 * @property {number} context_length
 * @property {boolean} has_chat_template
 * @property {number} weights_bytes bytes of weights on the device
 * @property {number} allocated_bytes bytes of all buffers on the device
 * @property {number} peak_bytes the most bytes ever held on the device, loading included
 * @property {string} device the adapter's name
 * @property {number} load_ms
 * @property {number} dispatches_per_step
 * @property {DrafterInfo | null} drafter
 * @property {number} max_draft_tokens
 * @property {SelfTest} self_test
 * @property {number} [parallel] requests that run at once
 * @property {Placement} [placement]
 * @property {"accurate" | "fast"} [precision] "fast" where that was asked for and the adapter has kernels for it
 * @property {Record<string, number | null>} [cycle_ms] what a cycle is believed to cost after loading, by
 *   number of drafts; every request learns (see Stats). Null: none was timed
 */

/**
 * What keeping an answer to a grammar took: masks that were made, ids that were given as drafts because the grammar
 * left no choice of text, those of them that were accepted, and what the host took for it all, in milliseconds,
 * mostly while the GPU computed logits.
 * @typedef {{kind: string, masks: number, forced_tokens: number, accepted_forced_tokens: number, host_ms: number}}
 *   ConstraintCounts
 */

/**
 * @typedef {object} Stats
 * @property {number} load_ms
 * @property {number} prefill_ms
 * @property {number} prefill_tokens
 * @property {number} [cached_tokens] of these, how many were in the KV cache already
 * @property {number} [dropped_messages] of a chat, how many of its oldest messages were left out
 * @property {number} [resumed_tokens] of the tokens, how many came before the worker or the device was lost
 * @property {number} decode_ms from the first token to the last
 * @property {number} decode_tokens
 * @property {"none" | "mtp" | "ngram"} drafter what drafted
 * @property {number | "auto"} draft_tokens what was asked for
 * @property {number} cycles
 * @property {number} tokens_per_cycle
 * @property {number} drafted_tokens
 * @property {number} accepted_tokens
 * @property {number[]} drafted_per_position how often a token was drafted at each place of a draft
 * @property {number[]} accepted_per_position how often the one there was accepted
 * @property {SelfTest} self_test
 * @property {Placement} [placement]
 * @property {PageCounts | null} [paging] null where nothing is paged
 * @property {number} [reasoning_tokens] how many of the tokens are no part of the answer
 * @property {number} run_ahead
 * @property {number} ttft_ms
 * @property {number} decode_tokens_per_s
 * @property {string} device
 * @property {Record<string, number | null>} [cycle_ms] what a cycle is believed to cost now, by number of
 *   drafts
 * @property {Record<string, number>} [cycle_run_ms] what cycles of this request took on average
 * @property {ConstraintCounts | null} [constraint] null where the answer is free
 * @property {number | null} [gpu_idle_share] of that, what the GPU spent between passes; null where the
 *   adapter has no timestamps
 */

/**
 * How likely a token was: natural, at least -9999. `bytes` is null for parts of characters that are no byte tokens.
 * @typedef {{id: number, token: string, logprob: number, bytes: number[] | null}} Logprob
 */

/**
 * Of a token that was generated, with the likeliest ones in its place, the first one first.
 * @typedef {Logprob & {top_logprobs: Logprob[], is_reasoning?: true}} TokenLogprob
 */

/**
 * The result of "generate"; `text`, `reasoning` and `tokens` hold what was not cut off by a stop.
 * @typedef {object} Generated
 * @property {number[]} prompt_tokens
 * @property {number[]} tokens
 * @property {string} text the answer alone
 * @property {string} reasoning what the model thought before it; "" where it did not
 * @property {"stop" | "length" | "tool_calls" | "abort"} finish_reason
 * @property {Stats} stats
 * @property {ToolCall[]} [tool_calls] where the request has tools
 * @property {TokenLogprob[]} [logprobs] of the tokens; the client puts together what came with "delta" events
 * @property {import("./client/completions.js").Usage} [usage] of a server's answer, whose ids nobody tells: both lists are empty
 */

/**
 * The result of "score", whose logits came before it in "logits" events: `data` holds those of
 * consecutive ids from `start` on, [rows, vocab_size] float32.
 * @typedef {{rows: number, vocab_size: number}} Scored
 */

/** @typedef {{median: number, low: number, high: number, runs: number}} Spread */

/**
 * What the dispatches of one kind cost: the same part of every layer. `us` is measured with all of them
 * queued in one pass, `alone_us` with each in a pass of its own and what an empty one takes subtracted
 * (null where the browser rounds its clock).
 * @typedef {object} OpProfile
 * @property {string} op for example "layers.*.mlp.down_proj"
 * @property {string} kernel
 * @property {number} times dispatches in the pass
 * @property {number} us of all of them
 * @property {number} us_low
 * @property {number} us_high
 * @property {number} each_us
 * @property {number | null} alone_us
 * @property {number} bytes that they have to move
 * @property {number | null} gb_per_s
 * @property {number | null} bandwidth_share of what the device reads at best
 */

/**
 * The result of "profile".
 * @typedef {object} PassProfile
 * @property {string} plan
 * @property {number} context_tokens
 * @property {Spread} whole_us the pass as it always runs
 * @property {number} sum_us of all ops
 * @property {number} empty_us what an empty dispatch takes in a pass of its own
 * @property {number} tick_us the step of the device's clock
 * @property {Spread} bandwidth_gb_per_s
 * @property {number} bandwidth_bytes that were read for it
 * @property {OpProfile[]} ops the most expensive first
 * @property {{label: string, kernel: string, workgroups: number[], alone_us: number | null, bytes: number}[]} dispatches
 */

/**
 * The worker's answers. "result" or "error" ends a request. A "generate" begins with its "prompt", as
 * ids, and how many messages were left out of it. Its "delta" events carry text of the answer and of the reasoning that is final (never half a
 * character, never the start of a stop string); either may be "", or both. The tokens of one event were
 * all drafted and accepted (`is_draft`), or none was; of these, the last one ends a pass that verified
 * `num_drafted` drafts. Together they are all tokens, but for those of a `resumption`. Where a request asks for
 * logprobs they come with the tokens, and `num_settled` says how many of all tokens no stop string can take back.
 * Calls of tools come piece by piece, as their arguments become JSON. The result of "tokenize" is the ids that a prompt of that text has, of "boot" and "unload" null.
 * An "estimate" that probes says before that what it knows, in a "forecast" event.
 * @typedef {{type: "phase", id: number, phase: Phase}
 *   | {type: "progress", id: number, phase: Phase, loaded_bytes: number, total_bytes: number}
 *   | {type: "delta", id: number, text: string, reasoning: string, tokens: number[], is_draft: boolean,
 *       num_drafted: number, decode_tokens_per_s: number, logprobs?: TokenLogprob[], num_settled?: number,
 *       tool_calls?: ToolCallDelta[]}
 *   | {type: "prompt", id: number, tokens: number[], dropped_messages?: number}
 *   | {type: "fetch", id: number} & FetchEvent
 *   | {type: "forecast", id: number, forecast: Forecast}
 *   | {type: "logits", id: number, start: number, data: ArrayBuffer}
 *   | {type: "result", id: number, value: any}
 *   | {type: "error", id: number, error: ErrorMessage}
 *   | {type: "pong", id: number}
 *   | {type: "device_lost", id: number, error: ErrorMessage}} WorkerMessage
 */

export {};
