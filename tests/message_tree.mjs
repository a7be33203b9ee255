// What web/widget/message_tree.js makes of each request: a list of steps, answered by what is shown after each.
import { MessageTree } from "../web/widget/message_tree.js";

let input = "";
for await (const chunk of process.stdin) input += chunk;
const { state, steps } = JSON.parse(input);
const tree = new MessageTree(state ?? undefined);
/** Ids by what was said, for the test's own words. */
const idOf = (content) => tree.state.messages.find((message) => message.content === content)?.id ?? null;
const actions = {
  say: ({ content, after }) => tree.add({ role: "user", content }, after === undefined ? tree.leaf : idOf(after)),
  step: ({ at, by }) => tree.step(idOf(at), by),
  remove: ({ at }) => tree.remove(idOf(at)),
  merge: ({ messages }) => tree.merge(messages),
};
const shown = steps.map((step) => {
  actions[step.do](step);
  return tree.path.map(({ content }) => content).join(" ");
});
console.log(JSON.stringify({ shown, messages: tree.state.messages, leaf: tree.leaf }));
