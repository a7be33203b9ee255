// Plays tests/vectors/hub/cases.json in web/hub; see tests/unit/test_hub_choice.py.
import { readFileSync } from "node:fs";

import { chooseDrafterFiles, chooseFiles, drafterRepos } from "../web/hub/choose.js";
import { parseHubName } from "../web/hub/names.js";

const { names, choices, drafter_repos: repos } = JSON.parse(
  readFileSync(new URL("vectors/hub/cases.json", import.meta.url), "utf-8"),
);
const choose = ({ files, wanted = null }) => {
  const listed = Object.entries(files).map(([path, size]) => ({ path, size }));
  try {
    const chosen = chooseFiles("some/repo", listed, wanted);
    const drafter = chooseDrafterFiles("some/repo", listed, chosen);
    const paths = (found) => found && found.map(({ path }) => path);
    return { is: paths(chosen), drafter: paths(drafter) };
  } catch ({ name, message }) {
    return { error: name, message };
  }
};
const parse = ({ text }) => {
  const parsed = parseHubName(text);
  return parsed && [parsed.repo, parsed.revision, parsed.file];
};
console.log(
  JSON.stringify({
    names: names.map(parse),
    choices: choices.map(choose),
    drafter_repos: repos.map(({ repo }) => drafterRepos(repo)),
  }),
);
