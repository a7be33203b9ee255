/**
 * Exports conversations to a file, and imports them. A file may come from anybody, so all of it is checked before
 * anything is imported.
 *
 * @module chats/transfer
 */

import { LeadoutError } from "../leadout.js";

const FORMAT = "leadout-conversations";
const VERSION = 1;

const MAX_BYTES = 64 * 1024 * 1024;
const MAX_CONVERSATIONS = 20_000;
const MAX_MESSAGES = 200_000;
const MAX_CONTENT = 1_000_000;
const MAX_TITLE = 200;
const ID = /^[0-9a-f]{32}$/;
const ROLES = ["system", "user", "assistant", "tool"];

/** @import {ConversationRecord, MessageRecord} from "./database.js" */

/** @typedef {{conversation: ConversationRecord, messages: MessageRecord[]}} Kept */

/**
 * @param {Kept[]} all
 * @returns {Blob} JSON
 */
export function exportConversations(all) {
  const conversations = all.map(({ conversation: { deleted_ms: _gone, ...conversation }, messages }) => ({
    ...conversation,
    messages: messages.map(({ conversation: _same, ...message }) => message),
  }));
  const file = { format: FORMAT, version: VERSION, exported: new Date().toISOString(), conversations };
  return new Blob([JSON.stringify(file, null, 1)], { type: "application/json" });
}

/**
 * @param {Blob} file
 * @returns {Promise<Kept[]>}
 * @throws {LeadoutError} ConversationImportError: the file was not exported by Leadout, or is damaged
 */
export async function importConversations(file) {
  if (file.size > MAX_BYTES) {
    const size = `${Math.round(file.size / 1e6)} MB`;
    throw refused(`The file has ${size}, and ${Math.round(MAX_BYTES / 1e6)} MB can be imported.`);
  }
  let content;
  try {
    content = JSON.parse(await file.text());
  } catch {
    throw refused("The file is not JSON.");
  }
  if (content?.format !== FORMAT || !Array.isArray(content.conversations)) {
    throw refused("The file has no conversations that Leadout exported.");
  }
  if (content.version !== VERSION) {
    throw refused(`The file is of version ${describe(content.version)}, and this page reads version ${VERSION}.`);
  }
  const { conversations } = content;
  const numMessages = conversations.reduce((sum, one) => sum + (one?.messages?.length ?? 0), 0);
  if (conversations.length > MAX_CONVERSATIONS || numMessages > MAX_MESSAGES) {
    throw refused(`At most ${MAX_CONVERSATIONS} conversations of ${MAX_MESSAGES} messages can be imported at once.`);
  }
  const ids = new Set();
  return conversations.map((one, index) => readConversation(one, `Conversation ${index + 1}`, ids));
}

/**
 * @param {any} one
 * @param {string} where
 * @param {Set<string>} ids ids that were used before in the file
 * @returns {Kept}
 */
function readConversation(one, where, ids) {
  need(isRecord(one), where, "is not an object");
  need(isNewId(one.id, ids), where, "has an id that is not valid or not unique");
  need(typeof one.title === "string" && one.title.length <= MAX_TITLE, where, "has no title, or one that is too long");
  need(isTime(one.created_ms) && isTime(one.changed_ms), where, "has no valid time");
  need(Array.isArray(one.messages), where, "has no messages");
  /** Times of the earlier messages. A message must follow one of these, so that there are no cycles. */
  const before = new Map();
  const messages = one.messages.map((/** @type {any} */ message, /** @type {number} */ index) => {
    const placed = readMessage(message, `${where}, message ${index + 1},`, ids, before);
    before.set(placed.id, placed.created_ms);
    return { ...placed, conversation: one.id };
  });
  need(one.leaf === null || before.has(one.leaf), where, "ends with a message that is not in the file");
  return {
    conversation: {
      id: one.id,
      title: one.title,
      is_named: one.is_named === true,
      created_ms: one.created_ms,
      changed_ms: one.changed_ms,
      leaf: one.leaf,
      deleted_ms: null,
    },
    messages,
  };
}

/**
 * @param {any} message
 * @param {string} where
 * @param {Set<string>} ids
 * @param {Map<string, number>} before
 */
function readMessage(message, where, ids, before) {
  need(isRecord(message), where, "is not an object");
  const { id, parent, role, content, reasoning_content, tool_calls, tool_call_id, created_ms } = message;
  need(isNewId(id, ids), where, "has an id that is not valid or not unique");
  need(parent === null || before.get(parent) < created_ms, where, "follows a message that is not earlier");
  need(ROLES.includes(role), where, `has the role ${describe(role)}`);
  need(isContent(content), where, "has no text, or too much");
  need(reasoning_content === undefined || isContent(reasoning_content), where, "has reasoning that is not text");
  need(tool_calls === undefined || isCalls(tool_calls), where, "has tool calls that are not valid");
  need(tool_call_id === undefined || isContent(tool_call_id), where, "has a tool_call_id that is not valid");
  need(isTime(created_ms), where, "has no valid time");
  // Ignore all other fields.
  return {
    ...{ id, parent, role, content, created_ms },
    ...(reasoning_content && { reasoning_content }),
    ...(tool_calls && { tool_calls: tool_calls.map(toCall) }),
    ...(tool_call_id && { tool_call_id }),
  };
}

/** @param {any} calls */
function isCalls(calls) {
  return (
    Array.isArray(calls) &&
    calls.length <= 100 &&
    calls.every((call) => isContent(call?.id) && isContent(call.function?.name) && isContent(call.function.arguments))
  );
}

/** @param {{id: string, function: {name: string, arguments: string}}} call */
function toCall({ id, function: { name, arguments: json } }) {
  return { id, type: "function", function: { name, arguments: json } };
}

/** @param {unknown} id @param {Set<string>} ids */
function isNewId(id, ids) {
  const isNew = typeof id === "string" && ID.test(id) && !ids.has(id);
  ids.add(String(id));
  return isNew;
}

/** @param {unknown} value */
function isRecord(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** @param {unknown} text */
function isContent(text) {
  return typeof text === "string" && text.length <= MAX_CONTENT;
}

/** @param {unknown} ms */
function isTime(ms) {
  return typeof ms === "number" && ms >= 0 && ms < 1e14;
}

/** @param {boolean} isRight @param {string} where @param {string} what */
function need(isRight, where, what) {
  if (!isRight) {
    throw refused(`${where} ${what}.`);
  }
}

/** @param {unknown} value */
function describe(value) {
  return String(JSON.stringify(value)).slice(0, 40);
}

/** @param {string} what */
function refused(what) {
  const message = `${what} Nothing was imported; your conversations are unchanged. Choose a file that “Export” made.`;
  return new LeadoutError("ConversationImportError", message);
}
