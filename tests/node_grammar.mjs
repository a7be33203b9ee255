// Walks through grammars with web/grammar.js in Node: a request on stdin, answers on stdout.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const request = JSON.parse(readFileSync(0, "utf8"));
const { Grammars } = await import(pathToFileURL(request.module).href);
const { TokenizerFile } = await import(pathToFileURL(request.tokenizer_module).href);
const { walks } = new Function(`${readFileSync(request.walk, "utf8")}; return { walks };`)();
const file = new TokenizerFile(request.tokenizer_json, pathToFileURL(request.tokenizers).href);
const pieces = (await file.make()).pieces();
const vocabulary = { pieces, ...request.vocabulary };
const grammars = await Grammars.load(vocabulary, pathToFileURL(request.library).href);
const answers = [];
for (const [ebnf, seeds, maxTokens] of request.walks) {
  answers.push(await walks(grammars, ebnf, seeds, maxTokens));
}
process.stdout.write(JSON.stringify({ pieces, answers }));
