// What choose_collect finds in a row, in words: how many keys were listed, the least key that is listed, the
// largest key, 0; then SUMS buckets' counts, masses >> 14 and masses & 16383; then (key, id) of LISTED keys.
//
// Where probability is summed up, buckets are the second bytes of the keys whose top byte is one of the three
// largest there are, 256 each, and the top bytes of the other keys. Keys without any mass are in none.
const LISTED = 2048u;
const SUMS = 1024u;
const FIRST_SUM = 4u;
const FIRST_LISTED = FIRST_SUM + 3u * SUMS;
const FOUND_WORDS = 7172u;  // FIRST_LISTED + 2 * LISTED, as one number that lowering can read
const FINE_BYTES = 3u;

// Whether all probability is summed up: no number of tokens bounds what top-p keeps.
fn needs_sums(wanted: Settings) -> bool {
  return !has_top_k(wanted) && wanted.top_p < 1.0;
}

// Whether few are chosen from for sure; else the best of each part is found as without filters, which a filter
// that keeps many does not change.
fn is_narrow(wanted: Settings) -> bool {
  return has_top_k(wanted) && wanted.top_k <= 256u;
}
