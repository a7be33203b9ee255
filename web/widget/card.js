/**
 * Draws a comparison as a picture to share. It is drawn in the browser, without any server.
 *
 * @module card
 */

/** @import {Card} from "./comparison.js" */

import { showHidden } from "./hidden_characters.js";
import { formatMs, formatSpeed } from "./words.js";

const [WIDTH, HEIGHT] = [1200, 630];
const MARGIN = 72;
const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
const COLOURS = { paper: "#f6f8f7", ink: "#1b1f1e", soft: "#5a6562", line: "#d5dcd9", accent: "#0a6b57" };

/**
 * @param {Card} card
 * @returns {string} the result in one line
 */
export function describeSpeedup({ speedup, sooner_ms }) {
  if (sooner_ms <= 0) {
    return `Drafting did not help here: ${formatMs(-sooner_ms)} later.`;
  }
  return `${speedup.toFixed(speedup < 10 ? 1 : 0)}× as fast: ${formatMs(sooner_ms)} sooner.`;
}

/** @param {Card} card @returns {string} */
export function describeSameness({ identical, identical_tokens }) {
  return identical
    ? `The same text, token for token (${identical_tokens}).`
    : `The texts differ after ${identical_tokens} tokens.`;
}

/**
 * @param {Card} card
 * @returns {Promise<Blob>} a PNG of 1200 × 630
 */
export async function drawCard(card) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [WIDTH, HEIGHT];
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.fillStyle = COLOURS.paper;
  context.fillRect(0, 0, WIDTH, HEIGHT);
  const say = newPen(context);
  say(card.model, 88, { size: 30, weight: 600 });
  say(describeSpeedup(card), 168, { size: 56, weight: 700 });
  say(describeSameness(card), 222, { size: 30, colour: COLOURS.soft });
  const longest = Math.max(card.without.total_ms, card.drafted.total_ms);
  const sides = /** @type {const} */ ([
    [card.without, "Without a drafter", COLOURS.soft, 286],
    [card.drafted, `With ${card.drafter ?? "a drafter"}`, COLOURS.accent, 396],
  ]);
  for (const [side, name, colour, top] of sides) {
    say(name, top, { size: 26, weight: 600 });
    say(`${formatMs(side.total_ms)}, ${formatSpeed(side.tokens_per_s)}`, top, { size: 26, isRight: true });
    context.fillStyle = COLOURS.line;
    context.fillRect(MARGIN, top + 18, WIDTH - 2 * MARGIN, 36);
    context.fillStyle = colour;
    context.fillRect(MARGIN, top + 18, ((WIDTH - 2 * MARGIN) * side.total_ms) / longest, 36);
  }
  const { machine, date, drafted } = card;
  const kept = `${drafted.accepted_tokens} of ${drafted.drafted_tokens} guessed tokens were right`;
  say(`${kept}; ${drafted.tokens_per_cycle.toFixed(2)} tokens a cycle.`, 506, { size: 26 });
  say(`${machine.gpu}. ${machine.browser}. ${date.slice(0, 10)}.`, 552, { size: 24, colour: COLOURS.soft });
  say("Leadout: Gemma in a browser tab. Nothing leaves the machine.", 590, { size: 24, colour: COLOURS.soft });
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("The picture could not be made."))), "image/png");
  });
}

/** @param {CanvasRenderingContext2D} context */
function newPen(context) {
  /**
   * @param {string} text
   * @param {number} y of the baseline
   * @param {{size: number, weight?: number, colour?: string, isRight?: boolean}} look
   */
  return (text, y, { size, weight = 400, colour = COLOURS.ink, isRight = false }) => {
    context.font = `${weight} ${size}px ${FONT}`;
    context.fillStyle = colour;
    context.textAlign = isRight ? "right" : "left";
    context.fillText(showHidden(text), isRight ? WIDTH - MARGIN : MARGIN, y, WIDTH - 2 * MARGIN);
  };
}

/**
 * @param {Blob} blob
 * @param {string} name the file's name
 */
export function saveFile(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
