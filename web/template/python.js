/**
 * What Python's functions make of texts, numbers and times, as far as chat templates see it.
 *
 * @module template/python
 */

/** As many items as Jinja2's sandbox lets `range` have. */
const MAX_RANGE = 100_000;

/** What Python's str.strip() takes off: not the byte order mark, but some control characters. */
const PYTHON_SPACE =
  "[\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]";
const LEADING_SPACE = new RegExp(`^${PYTHON_SPACE}+`);
const TRAILING_SPACE = new RegExp(`(?<!${PYTHON_SPACE})${PYTHON_SPACE}+$`);

/** What a template refuses or does wrong; its message is for people. */
export class TemplateError extends Error {}

/**
 * Python's str.strip, lstrip and rstrip.
 *
 * @param {string} text
 * @param {string | null} chars what to take off; white space by default
 * @param {string} ends "start", "end" or "both"
 */
export function strip(text, chars, ends) {
  if (chars === null) {
    const left = ends === "end" ? text : text.replace(LEADING_SPACE, "");
    return ends === "start" ? left : left.replace(TRAILING_SPACE, "");
  }
  const taken = new Set(chars);
  const points = Array.from(text);
  let [start, end] = [0, points.length];
  while (ends !== "end" && start < end && taken.has(points[start])) start += 1;
  while (ends !== "start" && end > start && taken.has(points[end - 1])) end -= 1;
  return points.slice(start, end).join("");
}

/** @param {string} text @param {string} part @returns {number} how often it occurs */
export function countOf(text, part) {
  if (part === "") return text.length + 1;
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

/**
 * Python's range.
 *
 * @param {number} start
 * @param {number} [stop]
 * @param {number} [step]
 */
export function range(start, stop, step = 1) {
  const [first, end] = stop === undefined ? [0, start] : [start, stop];
  const count = Math.max(Math.ceil((end - first) / step), 0);
  if (!Number.isInteger(first) || !Number.isInteger(count)) {
    throw new TemplateError("range takes whole numbers, and a step that is not 0");
  }
  if (count > MAX_RANGE) {
    throw new TemplateError(`a range of more than ${MAX_RANGE.toLocaleString("en")} numbers`);
  }
  return Array.from({ length: count }, (_, i) => first + i * step);
}

/** Python's repr of a text. @param {string} text */
export function reprOfText(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  /** @type {Record<string, string>} */
  const escapes = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", [quote]: `\\${quote}` };
  const escaped = text.replace(/[\\\n\r\t'"\x00-\x1f\x7f]/g, (char) => {
    const code = char.charCodeAt(0);
    const isControl = code < 0x20 || code === 0x7f;
    return escapes[char] ?? (isControl ? `\\x${code.toString(16).padStart(2, "0")}` : char);
  });
  return quote + escaped + quote;
}

/**
 * Write a time as Python does in its "C" locale.
 *
 * @param {Date} time
 * @param {string} format
 */
export function strftime(time, format) {
  /** @param {Intl.DateTimeFormatOptions} options */
  const name = (options) => new Intl.DateTimeFormat("en-US", options).format(time);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  /** @type {Record<string, () => string>} */
  const parts = {
    Y: () => String(time.getFullYear()),
    y: () => two(time.getFullYear() % 100),
    m: () => two(time.getMonth() + 1),
    d: () => two(time.getDate()),
    H: () => two(time.getHours()),
    I: () => two(time.getHours() % 12 || 12),
    M: () => two(time.getMinutes()),
    S: () => two(time.getSeconds()),
    p: () => (time.getHours() < 12 ? "AM" : "PM"),
    a: () => name({ weekday: "short" }),
    A: () => name({ weekday: "long" }),
    b: () => name({ month: "short" }),
    B: () => name({ month: "long" }),
    "%": () => "%",
  };
  return format.replace(/%(.)/gs, (code, letter) => {
    if (!Object.hasOwn(parts, letter)) throw new TemplateError(`strftime_now knows no ${code}`);
    return parts[letter]();
  });
}
