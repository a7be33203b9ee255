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
 * Where a file of a model is: exactly one of `url` and `file`. `size` and `sha256` are what the URL's content must have, if
 * known; the store checks both. `token` is sent only to the URL's own host, and stored nowhere.
 * @typedef {{name: string, url?: string, file?: Blob, size?: number | null, sha256?: string | null, token?: string}} FileRef
 */

/**
 * A model: a GGUF file (or all parts of a split one), or config.json with safetensors (and, if there,
 * tokenizer.json, tokenizer_config.json, generation_config.json, chat_template.jinja,
 * model.safetensors.index.json).
 * `source` is the address as it was asked for, and its name in the store. With it, the model is kept in the store
 * (web/store/). Without it, the model is read from its URLs.
 * @typedef {{name: string, files: FileRef[], source?: string}} ModelRef
 */

/** A model for the store. @typedef {ModelRef & {source: string}} KeptModelRef */

/**
 * How a model gets into the store. The states in order: ask the servers what they have, wait for another tab that
 * downloads the same, check what is kept, download the rest, check whole files, done. `host` is the server.
 * @typedef {object} FetchEvent
 * @property {string} source
 * @property {string} name
 * @property {string} host
 * @property {"asking" | "waiting" | "checking" | "fetching" | "done"} state
 * @property {number} stored_bytes
 * @property {number} total_bytes
 * @property {number} checked_bytes in state "checking": how many of the stored bytes have been compared with their hashes
 * @property {number} bytes_per_s in the last seconds
 */

/**
 * Instead of a ModelRef, to measure speed: weights made up on the device, without files. `shape` is one of
 * pyapp/leadout/checkpoint/synthetic.py; for a drafter it is its target's. `has_vocabulary` adds a made-up vocabulary,
 * which answers that follow a grammar need.
 * @typedef {{name: string, shape: string, has_vocabulary?: boolean}} ShapeRef
 */

/**
 * @typedef {object} LoadOptions
 * @property {number} [context_length] rows of KV cache; default: the model's, at most 4096
 * @property {"f32" | "f16"} [kv_dtype] storage of the KV cache; default "f32"
 * @property {number} [max_binding_bytes] pretend that the adapter allows no more (tests)
 * @property {number} [run_ahead] cycles queued on the device, 1 to 8, for requests that do not say; as many as keep it busy if left out
 * @property {"auto" | "none" | "mtp" | "ngram"} [drafter] what proposes tokens; default "auto":
 *   "mtp" when the drafter's files are given, else nothing
 * @property {number} [max_draft_tokens] the most tokens that a request may draft per cycle, 0 to 7; default 7, and 3 on an
 *   adapter that computes on the CPU. The kernels for it are compiled during the load
 * @property {1 | 2 | 4 | 8} [parallel] requests that run at once; each has a KV cache of its own; default 1
 * @property {"accurate" | "fast"} [precision] "fast" lets decoding multiply quantised weights by activations of 8
 *   bits instead of 16; default "accurate"
 * @property {"auto" | "gpu" | "paged"} [placement] where per-layer embeddings are kept, if the model has them. "gpu": on the
 *   device. "paged": in the file, from which rows are read when they are used. "auto", the default: paged where the
 *   device is known to have no room
 * @property {number} [paged_rows] how many of their rows the device keeps, at least 256; default 64 MiB's worth
 * @property {number} [memory_bytes] how much memory the device has, if somebody knows
 * @property {number} [kept_prompts] for how many prompts the keys and values of sliding layers are kept, 0 to 64; default:
 *   one more than `parallel`, as long as that takes little memory
 */

/**
 * A completion (`prompt` or `prompt_ids`) or a chat (`messages`), with OpenAI's names. The drafter and the number of drafts
 * change the speed, never the tokens.
 * @typedef {object} GenerateRequest
 * @property {string} [prompt]
 * @property {number[]} [prompt_ids]
 * @property {PromptEmbeddings[]} [embeddings] in the place of some tokens' of `prompt_ids`
 * @property {PromptMessage[]} [messages]
 * @property {ResponseFormat} [response_format] what the answer must fit; at most one of this and the next two
 * @property {string} [grammar] EBNF: rules name ::= …, of which one is called root
 * @property {string} [regex] a regular expression that the whole answer must match
 * @property {Tool[]} [tools] functions that the model may call, if its chat template knows tools;
 *   with `messages`, or with ids of such messages
 * @property {ToolChoice} [tool_choice] default "auto"
 * @property {boolean} [parallel_tool_calls] whether an answer may have several calls; default true
 * @property {number} [max_tokens] default 256
 * @property {number} [temperature] default 0 (greedy)
 * @property {number} [top_k] 0 = off
 * @property {number} [top_p] 1 = off
 * @property {number} [min_p] 0 = off
 * @property {number} [repetition_penalty] 1 = off
 * @property {number} [presence_penalty] -2 to 2, subtracted from the logits of tokens that were generated; 0 = off. This and
 *   the next are rounded to 1/4096
 * @property {number} [frequency_penalty] -2 to 2, subtracted from a token's logit for each time it was generated
 * @property {Record<string, number>} [logit_bias] by token id, for up to 1,024 of them: -100 to 100, rounded to
 *   1/256 and added to its logit; -100 bans it
 * @property {number} [seed] any unsigned 32-bit integer; default 0
 * @property {boolean} [logprobs] give each token's log-probability: the model's own, before temperature, penalties,
 *   biases and filters
 * @property {number} [top_logprobs] with it, also those of this many likeliest tokens, 0 to 20
 * @property {string[]} [stop] up to 16 strings of up to 256 characters; the text ends before the first of them
 * @property {boolean} [ignore_eos]
 * @property {number} [run_ahead] cycles queued on the device, 1 to 8; as many as keep it busy if left out; changes the speed, never the tokens
 * @property {"auto" | "none" | "mtp" | "ngram"} [drafter] default "auto": what was loaded
 * @property {number | "auto"} [draft_tokens] how many tokens to draft per cycle, 0 to 7, at most `max_draft_tokens` of the
 *   load; default "auto": as many as pay; on an adapter that computes on the CPU always 3
 * @property {boolean} [enable_thinking] have the chat template ask for reasoning; default false
 * @property {"error" | "drop_oldest"} [context_overflow] what happens to a chat that does not fit: it is refused, the
 *   default, or its oldest turns are left out (pyapp/leadout/context_end.py). Other prompts are never cut
 */

/**
 * Embeddings of consecutive positions of `prompt_ids`, from `start` on: parts of an image that another model has read, for
 * example. `rows` are [n, hidden_size] float32, in the scale in which the layers want them. Where `sees_all` is true, each
 * sees all of them, as parts of an image do in Gemma 3 and in Gemma 4 12B, 26B and 31B; at most 256 rows then. The ids at
 * these positions count where only ids do (pyapp/leadout/embedded.py).
 * @typedef {{start: number, rows: Float32Array, sees_all?: boolean}} PromptEmbeddings
 */

/**
 * A message of a chat, as the worker gets it. An answer that called tools has its calls. A result's message names the call
 * that it belongs to.
 * @typedef {{role: string, content: string | null, tool_calls?: ToolCall[], tool_call_id?: string, name?: string}}
 *   PromptMessage
 */

/** What an answer must fit. A schema is of draft 2020-12, with the keywords that static/docs/api.md lists.
 * @typedef {{type: "text"} | {type: "json_object"} | {type: "json_schema", json_schema: {name: string,
 *   description?: string, schema?: Record<string, unknown>, strict?: boolean | null}}} ResponseFormat
 */

/** @typedef {{name: string, description?: string, parameters?: Record<string, unknown>, strict?: boolean | null}}
 *   FunctionDefinition
 */

/** `strict`: its calls fit `parameters` even if the model is free to call it or not.
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
 * What a generation had written when its worker was lost: for each pass that the client heard of, its tokens and how many
 * drafts it verified; the prompt's last pass comes first. The next worker continues after them. `ttft_ms` is the time
 * to the first token, `decode_ms` the time of the others.
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
 * The result of "estimate": what a load would take, found from the files' headers only.
 * @typedef {object} Forecast
 * @property {string} model
 * @property {string | null} drafter
 * @property {number} file_bytes of the files with weights
 * @property {number} read_bytes how many of these a load reads
 * @property {{weights_bytes: number, drafter_bytes: number, kv_cache_bytes: number, other_bytes: number,
 *   total_bytes: number, largest_buffer: string, largest_buffer_bytes: number}} memory on the device
 * @property {number | null} device_bytes `memory_bytes` of the options: how much memory the device has
 * @property {number} context_length
 * @property {"f32" | "f16"} kv_dtype
 * @property {number} max_context_length the longest context that fits; 0: none does
 * @property {ContextForecast[]} contexts what other contexts take
 * @property {boolean} fits within the limits that are known
 * @property {string | null} problem why it does not fit, and what to do
 * @property {Placement} placement
 * @property {number} paging_saves_bytes how much placement "paged" would save; 0 if it is not possible
 * @property {{decode_tokens_per_s: number, cycle_ms: Record<string, number>, context_length: number,
 *   probe_ms: number} | null} probe measured with made-up weights: the speed of plain decoding, and the time of a cycle by
 *   its number of drafts, after `context_length` tokens
 */

/**
 * The client's requests. "pull" goes to the store's worker (web/store/puller.js), all others to an engine's worker.
 * "assume" treats ids as already read, with made-up weights. worker.js itself answers "ping" at once, even while Python
 * waits for something. Requests are served one after the other, with two exceptions: "tokenize" once a model is loaded, and
 * "generate" after another "generate". As many of these run at once as `parallel` says, and more wait for one to end.
 * "boot" and "pull" carry the engine's files, or the address of the assets.json that names them. `version` is the client's,
 * if the files might be of another version.
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
 * What a load waits for, in order; "failed" may follow any of them. Later phases start early: the device, the kernels and
 * the model's first bytes are fetched while Python starts, and kernels are compiled while weights stream. The phases are
 * also CSS states of the widget.
 *
 *     loading_runtime    Python
 *     loading_package    Leadout's Python package
 *     loading_weights    headers are read, weights are on their way to the device
 *     compiling_kernels  the kernels that are not compiled yet when the weights are there
 *     warming_up         the self-test
 *     ready              requests are answered; cycles with drafts are compiled after the first ones
 * @typedef {"loading_runtime" | "loading_package" | "loading_weights" | "compiling_kernels" | "warming_up" | "ready" | "failed"} Phase
 */

/**
 * The result of comparing the device's results for one row and for many, bit for bit. "identical": they are the same.
 * "widest": they are not, so everything goes through the widest variant. "off": not even then, so nothing is drafted.
 * "not run": nothing is drafted anyway.
 * @typedef {"identical" | "widest" | "off" | "not run"} SelfTest
 */

/** Where per-layer embeddings are kept; "none": the model has nothing worth paging. @typedef {"gpu" | "paged" | "none"} Placement */

/**
 * What paging did. `misses` are rows that had to be read, `hits` those that were already there. A repeated cycle gave no
 * token, because a row came too late. A single cycle was queued alone, because misses were frequent.
 * @typedef {{hits: number, misses: number, read_bytes: number, repeated_cycles: number, single_cycles: number}} PageCounts
 */

/**
 * A model's drafter; an n-gram drafter has no weights.
 * @typedef {{kind: "mtp" | "ngram", name: string, num_parameters: number, weights_bytes: number}} DrafterInfo
 */

/**
 * @typedef {object} ModelInfo the result of "load"
 * @property {string} name
 * @property {string} architecture
 * @property {number} num_parameters
 * @property {number} context_length
 * @property {number} [hidden_size] numbers of an embedding
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
 * What it took to make an answer fit a grammar: masks that were made; ids that became drafts because the grammar left no
 * choice; how many of these were accepted; and the host's time, mostly while the GPU computed logits.
 * @typedef {{kind: string, masks: number, forced_tokens: number, accepted_forced_tokens: number, host_ms: number}}
 *   ConstraintCounts
 */

/**
 * @typedef {object} Stats
 * @property {number} load_ms
 * @property {number} prefill_ms
 * @property {number} prefill_tokens
 * @property {number} [cached_tokens] how many of these were already in the KV cache
 * @property {number} [dropped_messages] how many of a chat's oldest messages were left out
 * @property {number} [resumed_tokens] how many of the tokens were written before the worker or the device was lost
 * @property {number} decode_ms from the first token to the last
 * @property {number} decode_tokens
 * @property {"none" | "mtp" | "ngram"} drafter what drafted
 * @property {number | "auto"} draft_tokens what was asked for
 * @property {number} cycles
 * @property {number} tokens_per_cycle
 * @property {number} drafted_tokens 0 where no drafts were asked for, whatever ran beside it
 * @property {number} accepted_tokens
 * @property {number[]} drafted_per_position how often a token was drafted at each place of a draft
 * @property {number[]} accepted_per_position how often the token at that place was accepted
 * @property {SelfTest} self_test
 * @property {Placement} [placement]
 * @property {PageCounts | null} [paging] null where nothing is paged
 * @property {number} [reasoning_tokens] how many of the tokens were reasoning
 * @property {number} run_ahead cycles allowed in flight at the end; 1 where the host has a say in each
 * @property {number} ttft_ms
 * @property {number} decode_tokens_per_s
 * @property {string} device
 * @property {Record<string, number | null>} [cycle_ms] the expected time of a cycle now, by number of drafts
 * @property {Record<string, number>} [cycle_run_ms] what cycles of this request took on average, in the same sense: of the
 *   GPU by number of drafts, and the average gap before any cycle
 * @property {Record<string, number>} [cycle_runs] how many cycles that is the average of
 * @property {ConstraintCounts | null} [constraint] null where the answer is free
 * @property {number | null} [gpu_idle_share] which share of the decoding time the GPU spent between passes; null if the
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
 * @property {string} text the answer, without reasoning
 * @property {string} reasoning what the model thought before the answer, or ""
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
 * The worker's answers. "result" or "error" ends a request.
 *
 * A "generate" starts with its "prompt": the ids, and how many messages were left out. Its "delta" events carry final text
 * of the answer and of the reasoning: never half a character, never the start of a stop string. Either may be "", or both.
 * The tokens of one event were all drafted and accepted (`is_draft`), or none of them was. If none was, the last token ends
 * a pass that verified `num_drafted` drafts. All events together have all tokens, except those of a `resumption`.
 * Logprobs come with the tokens, if they were asked for; `num_settled` says how many of all tokens no stop string can take
 * back. Tool calls come piece by piece, as their arguments become JSON.
 *
 * The result of "tokenize" is the ids of the text, that of "boot" and "unload" is null. An "estimate" with a probe first
 * sends a "forecast" event with what is known without it.
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
