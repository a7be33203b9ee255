// Random walks through a grammar, in V8 (tests/grammar_walks.py) and in Node (node_grammar.mjs): each
// step takes one of the allowed tokens, all as likely as each other.

/** Counts allowed ids in masks of bytes and returns the place of the n-th. */
function allowedIds(mask) {
  const ids = [];
  for (let id = 0; id < mask.length * 8; id += 1) {
    if ((mask[id >> 3] >> (id & 7)) & 1) ids.push(id);
  }
  return ids;
}

/** A small generator, the same everywhere. */
function makeRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The ids of a walk until it ends, null where it was longer than maxTokens; and its masks' hash. */
async function walk(matcher, seed, maxTokens) {
  const random = makeRandom(seed);
  const ids = [];
  let hash = 0;
  while (!matcher.isFinished && ids.length < maxTokens) {
    const mask = await matcher.masks([]);
    for (const byte of mask) hash = (Math.imul(hash, 31) + byte) | 0;
    const allowed = allowedIds(mask);
    if (allowed.length === 0) throw new Error(`nowhere to go after ${ids}`);
    const id = allowed[Math.floor(random() * allowed.length)];
    if (!matcher.accept(id)) throw new Error(`${id} is in the mask and refused`);
    ids.push(id);
  }
  return { ids, hash, isFinished: matcher.isFinished };
}

/** One walk a seed, through one grammar. */
async function walks(grammars, ebnf, seeds, maxTokens) {
  const grammar = await grammars.compile(ebnf);
  const found = [];
  for (const seed of seeds) {
    const matcher = await grammar.start();
    found.push(await walk(matcher, seed, maxTokens));
    matcher.dispose();
  }
  grammar.dispose();
  return found;
}
