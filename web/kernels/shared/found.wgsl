// What choose_collect finds in a row, in words: how many keys were listed, the least key that is listed, the
// largest key, 0; then counts, masses >> 14 and masses & 16383 by a key's top byte; then (key, id) of LISTED keys.
// Keep in step with pyapp/leadout/ops/choice.py.
const LISTED = 2048u;
const FIRST_BUCKET = 4u;
const FIRST_LISTED = 4u + 768u;
const FOUND_WORDS = FIRST_LISTED + 2u * LISTED;

// Whether the weights of a row's largest keys may not be enough, so that all keys are weighed by their top byte.
fn weighs_all(wanted: Settings) -> bool {
  return !has_top_k(wanted) && wanted.top_p < 1.0;
}
