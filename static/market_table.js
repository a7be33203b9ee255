/**
 * Checks tables of market data for Nano, and estimates their length.
 *
 * Keep in step with build/leadout_build/cli/market_table.py (`parse_table` accepts the same tables), and the two texts
 * with build/leadout_build/store/nano_prompts.py; tests/unit/test_market_table.py compares them.
 *
 * @module market_table
 */

/** The system turn that Nano was trained with. */
export const NANO_SYSTEM =
  "You are Nano. You write briefs and answer questions about one market table.";

export const EXAMPLE_TABLE = `\
asset,price,1d,7d,30d,vol,rsi,50d,200d
BTC,97412.50,+1.84%,+4.12%,+9.35%,1.22x,63.4,+6.20%,+21.75%
ETH,3285.17,+2.46%,+1.08%,-3.90%,0.94x,52.1,-1.35%,+8.42%
SOL,214.83,+5.31%,+12.67%,+18.04%,2.41x,74.8,+14.90%,+39.26%
XRP,2.4175,-0.62%,+3.55%,+27.41%,1.08x,66.0,+19.73%,+88.15%
ADA,0.8931,-2.17%,-4.83%,-6.29%,0.83x,41.7,-5.44%,+12.08%
DOGE,0.3412,-3.74%,-8.96%,-11.50%,1.37x,28.9,-12.61%,+17.33%
AVAX,38.46,+0.95%,-1.72%,+2.66%,0.76x,49.5,-0.48%,-3.97%
LINK,24.09,+3.08%,+7.24%,+5.87%,1.65x,58.3,+4.11%,+26.54%
fear-and-greed index: 68`;

/** The spellings of each column in a header; the first is its name. */
const SPELLINGS = {
  asset: ["asset", "symbol", "ticker", "coin", "name"],
  price: ["price", "last", "close", "price usd"],
  "1d": ["1d", "24h", "day", "1d %", "chg 1d"],
  "7d": ["7d", "week", "1w", "7d %", "chg 7d"],
  "30d": ["30d", "month", "1m", "30d %", "chg 30d"],
  vol: ["vol", "vol/avg", "volume", "rel vol"],
  rsi: ["rsi", "rsi14", "rsi 14", "rsi (14)"],
  "50d": ["50d", "vs 50d", "vs50d", "50d avg", "sma50", "vs sma50", "ma50"],
  "200d": ["200d", "vs 200d", "vs200d", "200d avg", "sma200", "vs sma200", "ma200"],
};

const COLUMN_OF = new Map(
  Object.entries(SPELLINGS).flatMap(([name, texts]) => texts.map((text) => [text, name])),
);

const RULE = /^\|?[ :|-]*-[ :|-]*\|?$/;
const MOOD = /^(?:fear[ -](?:and|&)[ -]greed(?: index)?|f&g) ?: ?(\d{1,3})(?:\/100)?$/i;
const ASSET = /^[A-Z0-9]+(?:[.-][A-Z0-9]+)?$/;
const NUMBER = /^[+-]?\d+(?:\.\d+)?[%x]?$/;
const MISSING = ["", "n/a", "-"];

/** No price has more digits, and Nano was not trained on more. Keep in step with table_prompt.py. */
const MOST_DIGITS = 12;

/**
 * @param {string} text CSV or Markdown, with the line of an index above or below it
 * @returns {string | null} the problem and what to do; null if Nano can read the table
 */
export function findTableProblem(text) {
  const rows = [];
  for (const line of text.split(/\r\n?|\n/).map((part) => part.trim())) {
    const mood = line.match(MOOD);
    if (mood && Number(mood[1]) > 100) {
      return `A fear-and-greed index of ${mood[1]}; it goes from 0 to 100.`;
    }
    if (line && !mood && !RULE.test(line)) {
      rows.push(splitCells(line));
    }
  }
  if (rows.length === 0) {
    return "There is no table here; paste one as CSV or Markdown, or take the example.";
  }
  const [header, ...assets] = rows;
  return findHeaderProblem(header) ?? findRowsProblem(header, assets);
}

/** @param {string} line */
function splitCells(line) {
  const isMarkdown = line.startsWith("|");
  const cells = isMarkdown ? line.replace(/^\|/, "").replace(/\|$/, "").split("|") : line.split(",");
  return cells.map((cell) => cell.trim());
}

/** @param {string[]} header */
function findHeaderProblem(header) {
  const names = header.map((text) => COLUMN_OF.get(text.toLowerCase()));
  const unknown = names.indexOf(undefined);
  if (unknown >= 0) {
    const known = Object.keys(SPELLINGS).join(", ");
    return `This is no market table: it has no column "${shorten(header[unknown])}", only ${known}.`;
  }
  if (names[0] !== "asset" || names.lastIndexOf("asset") > 0 || names.length < 2) {
    return "A table starts with a column of assets, then has columns of numbers.";
  }
  if (new Set(names).size < names.length) {
    return "A column is twice in the header; keep one of them.";
  }
  return null;
}

/**
 * @param {string[]} header
 * @param {string[][]} rows
 */
function findRowsProblem(header, rows) {
  const seen = new Set();
  for (const [asset, ...cells] of rows) {
    if (!ASSET.test(asset)) {
      return `"${shorten(asset)}" is no ticker; use capitals and digits.`;
    }
    if (seen.has(asset)) {
      return `${asset} has two rows; keep one of them.`;
    }
    seen.add(asset);
    if (cells.length !== header.length - 1) {
      return `The row of ${asset} has ${cells.length + 1} cells; the header has ${header.length}.`;
    }
    for (const cell of cells.filter((text) => !MISSING.includes(text.toLowerCase()))) {
      if (!NUMBER.test(cell)) {
        return `"${shorten(cell)}" in the row of ${asset} is no number such as 12.50, +2.41% or 1.35x.`;
      }
      if (cell.replace(/\D/g, "").length > MOST_DIGITS) {
        return `"${shorten(cell)}" in the row of ${asset} has more than ${MOST_DIGITS} digits; round it.`;
      }
    }
  }
  return seen.size > 0 ? null : "The table has a header and no rows; give at least one asset.";
}

/** @param {string} text */
function shorten(text) {
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

/**
 * @param {string} text
 * @returns {number} an estimate of its tokens for Nano, rather too high than too low: each digit, mark and capital of a
 *   ticker is one token
 */
export function estimateTokens(text) {
  let count = 0;
  for (const [part] of text.matchAll(/[a-z]+|[^\S\n]+|[\s\S]/gu)) {
    if (/^[a-z]/.test(part)) {
      count += Math.ceil(part.length / 5);
    } else if (/^[^\S\n]/.test(part)) {
      count += part.length > 1 ? 1 : 0;
    } else {
      count += part.codePointAt(0) < 0x80 ? 1 : 4;
    }
  }
  return Math.ceil(1.08 * count);
}
