// Answers one request on stdin with web/tokenizer.js. See node_tokenizer.py.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(0, "utf8"));
const { TokenizerFile } = await import(pathToFileURL(request.module).href);
const library = pathToFileURL(request.library).href;

/** @param {() => any} call */
function answer(call) {
  try {
    return { value: call() ?? null };
  } catch (error) {
    return { error: { name: error.name, message: error.message } };
  }
}

let reply;
try {
  const tokenizer = await new TokenizerFile(readFileSync(request.tokenizer_json, "utf8"), library).make();
  reply = {
    answers: request.calls.map(([verb, ...args]) =>
      answer(() => (verb === "vocabSize" ? tokenizer.vocabSize : tokenizer[verb](...args))),
    ),
  };
} catch (error) {
  reply = { error: { name: error.name, message: error.message } };
}
process.stdout.write(JSON.stringify(reply));
