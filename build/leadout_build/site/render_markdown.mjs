// Renders Markdown with markdown-it, the library that shows answers in the chat as well. HTML in it stays text.
//
// node render_markdown.mjs NODE_MODULES < {texts, copies} > pages
//   texts: {name: Markdown}
//   copies: {a link as written: where the site has a copy of that file}
//   pages: {name: {title, html, headings: [{id, text}], anchors: [id], links: [href as written]}}
// `headings` are those of the second level. Links between texts lead to the pages. A link that leaves the site's folder
// ("../../…") is for readers of the repository; the site shows only its text, unless it has a copy.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const MarkdownIt = createRequire(join(process.argv[2], "package.json"))("markdown-it");

/** Make a heading's id as viewers of repositories do, so that an anchor works there and on the site. */
function slugOf(text, taken) {
  const slug = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, "")
    .replace(/\s/g, "-");
  const count = taken.get(slug) ?? 0;
  taken.set(slug, count + 1);
  return count === 0 ? slug : `${slug}-${count}`;
}

function textOf(inline) {
  return inline.children.map(({ type, content }) => (type === "softbreak" ? " " : content)).join("");
}

function render(markdown, copies) {
  const md = new MarkdownIt({ html: false });
  const page = { title: "", html: "", headings: [], anchors: [], links: [] };
  const taken = new Map();
  let section = "";

  md.core.ruler.push("headings", ({ tokens }) => {
    tokens.forEach((token, i) => {
      if (token.type !== "heading_open") return;
      const text = textOf(tokens[i + 1]);
      const id = slugOf(text, taken);
      token.attrSet("id", id);
      page.anchors.push(id);
      if (token.tag === "h1") page.title = text;
      if (token.tag === "h2") page.headings.push({ id, text });
    });
  });
  const { rules } = md.renderer;
  rules.heading_open = (tokens, i, options, env, self) => {
    section = textOf(tokens[i + 1]);
    const link = tokens[i].tag === "h1" ? "" : `<a href="#${tokens[i].attrGet("id")}">`;
    return self.renderToken(tokens, i, options) + link;
  };
  rules.heading_close = (tokens, i, options, env, self) =>
    (tokens[i].tag === "h1" ? "" : "</a>") + self.renderToken(tokens, i, options);

  // Elements that may be wider than a phone get their own scrolling, also by keyboard.
  rules.table_open = () => {
    const label = md.utils.escapeHtml(section);
    return `<div class="wide" role="group" aria-label="Table: ${label}" tabindex="0"><table>\n`;
  };
  rules.table_close = () => "</table></div>\n";
  // The policy does not allow style attributes.
  for (const cell of ["th_open", "td_open"]) {
    rules[cell] = (tokens, i, options, env, self) => {
      const isRight = tokens[i].attrGet("style") === "text-align:right";
      tokens[i].attrs = isRight ? [["class", "right"]] : null;
      return self.renderToken(tokens, i, options);
    };
  }
  for (const code of ["fence", "code_block"]) {
    rules[code] = (tokens, i) => `<pre tabindex="0"><code>${md.utils.escapeHtml(tokens[i].content)}</code></pre>\n`;
  }

  const leaves = (href) => href.startsWith("../../") && !Object.hasOwn(copies, href);
  const openLinks = [];
  rules.link_open = (tokens, i, options, env, self) => {
    const href = tokens[i].attrGet("href");
    page.links.push(href);
    openLinks.push(href);
    if (leaves(href)) return "";
    if (!/^\w+:/.test(href)) tokens[i].attrSet("href", copies[href] ?? href.replace(/\.md(?=#|$)/, ".html"));
    return self.renderToken(tokens, i, options);
  };
  rules.link_close = (tokens, i, options, env, self) =>
    leaves(openLinks.pop()) ? "" : self.renderToken(tokens, i, options);
  const image = rules.image;
  rules.image = (tokens, i, options, env, self) => {
    page.links.push(tokens[i].attrGet("src"));
    return image(tokens, i, options, env, self);
  };

  page.html = md.render(markdown);
  return page;
}

const { texts, copies } = JSON.parse(readFileSync(0, "utf-8"));
const pages = Object.entries(texts).map(([name, text]) => [name, render(text, copies)]);
process.stdout.write(JSON.stringify(Object.fromEntries(pages)));
