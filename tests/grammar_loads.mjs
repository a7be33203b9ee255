// Loads made-up grammar libraries with web/grammar.js in Node: its path on stdin, answers on stdout.
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const { Grammars } = await import(pathToFileURL(JSON.parse(readFileSync(0, "utf8"))).href);

const VOCABULARY = { pieces: ["a"], vocab_size: 1, stop_ids: [], mark_ids: [] };

/**
 * A library that wants an address to the end, as xgrammar does.
 *
 * @param {string} name
 * @param {number} numTurns how many turns of the event loop its start takes
 * @param {string} failure what it then fails with, if anything
 */
function libraryUrl(name, numTurns, failure = "") {
  const code = `
    let hasFailed = false;
    async function fromEBNF() {
      for (let turn = 0; turn < ${numTurns}; turn += 1) await new Promise(setImmediate);
      if (${JSON.stringify(failure)}) throw new Error(${JSON.stringify(failure)});
      if (globalThis.location === undefined) throw new Error("${name} has no address");
      return { dispose() {} };
    }
    async function createGrammarCompiler() {
      if (!hasFailed) throw ((hasFailed = true), new Error("no memory"));
      return { compileGrammar: async () => ({}) };
    }
    const TokenizerInfo = { createTokenizerInfo: async () => ({}) };
    export default { Grammar: { fromEBNF }, TokenizerInfo, GrammarCompiler: { createGrammarCompiler } };
  `;
  return `data:text/javascript,${encodeURIComponent(code)}`;
}

const told = (/** @type {PromiseSettledResult<any>} */ { reason }) => reason?.message ?? "loaded";
const urls = [
  libraryUrl("a", 2),
  libraryUrl("broken", 3, "broken"),
  libraryUrl("b", 9),
  libraryUrl("c", 1),
];
const loads = await Promise.allSettled(urls.map((url) => Grammars.load(VOCABULARY, url)));
const grammars = await Grammars.load(VOCABULARY, urls[0]);
const compiled = [];
for (let time = 0; time < 2; time += 1) {
  compiled.push(...(await Promise.allSettled([grammars.compile('root ::= "a"')])));
}
const answer = {
  loads: loads.map(told),
  compiled: compiled.map(told),
  has_address: "location" in globalThis,
};
process.stdout.write(JSON.stringify(answer));
