/**
 * Conversations and presets around <leadout-chat>.
 *
 * @module chats/chats
 */

import { ChatDatabase } from "./database.js";
import { Keeper } from "./keeper.js";
import { Presets } from "./presets.js";
import { Sidebar } from "./sidebar.js";

/**
 * @param {any} chat the <leadout-chat>
 * @param {() => boolean} isExample whether the conversation has only the example, which is not worth keeping
 * @returns {Promise<void>} resolves when this tab shows the conversation from before a reload again
 */
export async function showChats(chat, isExample) {
  new Presets(chat);
  try {
    const database = await ChatDatabase.open();
    const keeper = new Keeper(chat, database, isExample);
    const sidebar = new Sidebar({ chat, keeper, database });
    sidebar.refreshSoon();
    await keeper.restore();
  } catch (error) {
    const problem = document.getElementById("chats-problem");
    problem.textContent = `Conversations cannot be kept in this browser: ${error.message}`;
    problem.hidden = false;
  }
}
