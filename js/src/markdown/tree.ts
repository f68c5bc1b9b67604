// Converts markdown-it's tokens to trees of elements.

import type { Token } from "markdown-it";
import { type ElementNode, element, type Tag, type TreeNode } from "./dom.js";
import { MAX_NESTING } from "./lexer.js";
import { imageAddress, linkAddress, misleads } from "./links.js";
import { codeNodes } from "./pieces.js";
import { textNodes, withoutEndlessWords } from "./texts.js";
import { visibleText } from "./visible.js";

/** A top-level block with its source lines. */
export interface Block {
  type: string;
  /** First line, and the one after the last. */
  start: number;
  end: number;
  tokens: Token[];
}

/** Groups tokens by top-level block. */
export function topBlocks(tokens: readonly Token[]): Block[] {
  const blocks: Block[] = [];
  let current: Block | undefined;
  for (const token of tokens) {
    if (!current || token.level === 0) {
      if (token.nesting < 0 && current) {
        current.tokens.push(token);
        current = undefined;
        continue;
      }
      const [start, end] = token.map ?? [0, 0];
      current = { type: token.type, start, end, tokens: [token] };
      blocks.push(current);
      if (token.nesting === 0) current = undefined;
      continue;
    }
    current.tokens.push(token);
  }
  return blocks;
}

const CONTAINERS: Readonly<Record<string, Tag>> = {
  paragraph_open: "p",
  blockquote_open: "blockquote",
  list_item_open: "li",
  thead_open: "thead",
  tbody_open: "tbody",
  tr_open: "tr",
  em_open: "em",
  strong_open: "strong",
  s_open: "del",
};

/** Deeper nesting is flattened; every browser supports this depth. */
const MAX_DEPTH = 120;

/** Builds trees of block or inline tokens. Unknown tokens become their text. */
export function buildTree(tokens: readonly Token[]): TreeNode[] {
  const top: TreeNode[] = [];
  const stack: Opened[] = [];
  let links = 0;
  for (const [i, token] of tokens.entries()) {
    const here = stack[stack.length - 1]?.node.children ?? top;
    if (token.block && token.level === MAX_NESTING - 1 && (tokens[i + 1]?.nesting ?? 0) < 0) {
      // The user should see that something was omitted.
      here.push({ text: "…" });
    }
    if (token.nesting > 0 && stack.length >= MAX_DEPTH) {
      stack.push({ node: { tag: "span", attributes: {}, children: here }, host: null });
    } else if (token.nesting > 0) {
      const open = opened(token);
      here.push(open.node);
      if (open.host !== null) links += 1;
      // Paragraphs of a tight list are elements too, since looseness is a matter of style: a list
      // that becomes loose late keeps its first items, and a selection in them.
      const list = stack[stack.length - 2]?.node;
      if (token.type === "paragraph_open" && !token.hidden && list && isList(list)) {
        list.attributes.class = "agentnb-loose";
      }
      stack.push(open);
    } else if (token.nesting < 0) {
      const closed = stack.pop();
      if (!closed) continue;
      if (closed.node.tag === "li") markTask(closed.node);
      if (closed.host === null) continue;
      links -= 1;
      if (!misleads(plainText(closed.node.children), closed.host)) continue;
      const after = stack[stack.length - 1]?.node.children ?? top;
      const note = [{ text: ` (${visibleText(closed.host)})` }];
      after.push(element("span", { class: "agentnb-host" }, note));
    } else {
      leaf(token, here, links > 0);
    }
  }
  return top;
}

interface Opened {
  node: ElementNode;
  /** Target of a link; null for other tokens. */
  host: string | null;
}

const isList = (node: ElementNode): boolean => node.tag === "ul" || node.tag === "ol";

/**
 * Turns "[x] " at the start of an item into a symbol, not a checkbox, which could not be clicked.
 */
function markTask(item: ElementNode): void {
  const paragraph = item.children[0];
  if (!paragraph || !("tag" in paragraph) || paragraph.tag !== "p") return;
  const first = paragraph.children[0];
  if (!first || "tag" in first) return;
  const done = /^\[([ xX])\](?=\s)/.exec(first.text)?.[1];
  if (done === undefined) return;
  first.text = first.text.slice(3);
  const name = done === " " ? "to do" : "done";
  const attributes = {
    class: `agentnb-box-${name.replace(" ", "")}`,
    role: "img",
    "aria-label": name,
  };
  paragraph.children.unshift(element("span", attributes, []));
  item.attributes.class = "agentnb-task";
}

function opened(token: Token): Opened {
  const plain = (tag: Tag, attributes: ElementNode["attributes"] = {}) => ({
    node: element(tag, attributes, []),
    host: null,
  });
  switch (token.type) {
    case "heading_open":
      return plain(/^h[1-6]$/.test(token.tag) ? (token.tag as Tag) : "p");
    case "bullet_list_open":
      return plain("ul");
    case "ordered_list_open": {
      const start = Number(token.attrGet("start") ?? 1);
      return plain("ol", start === 1 ? {} : { start: String(start) });
    }
    case "table_open":
      // A wide one scrolls, which must be possible by keyboard, too.
      return plain("table", { tabindex: "0" });
    case "th_open":
    case "td_open": {
      const align = /text-align:(left|center|right)/.exec(
        String(token.attrGet("style") ?? ""),
      )?.[1];
      const attributes: ElementNode["attributes"] = align ? { class: `agentnb-${align}` } : {};
      if (token.type === "th_open") attributes.scope = "col";
      return plain(token.type === "th_open" ? "th" : "td", attributes);
    }
    case "link_open":
      return link(String(token.attrGet("href") ?? ""), token.attrGet("title"));
    default:
      return plain(CONTAINERS[token.type] ?? "span");
  }
}

function link(url: string, title: string | number | null): Opened {
  const address = linkAddress(url);
  const rendered = visibleText(address?.href ?? url);
  const hint = title === null ? rendered : `${visibleText(String(title))}\n${rendered}`;
  if (!address) {
    // The address is displayed as text.
    return { node: element("span", { class: "agentnb-inert", title: hint }, []), host: null };
  }
  const attributes = {
    href: address.href,
    title: hint,
    target: "_blank",
    rel: "noopener noreferrer nofollow",
    referrerpolicy: "no-referrer",
  };
  return { node: element("a", attributes, []), host: address.host };
}

function leaf(token: Token, into: TreeNode[], inLink: boolean): void {
  switch (token.type) {
    case "inline":
      // Not by spreading: a paragraph may have more nodes than a call takes arguments.
      for (const node of buildTree(token.children ?? [])) into.push(node);
      return;
    case "text":
      pushText(into, token.content);
      return;
    case "softbreak":
      pushText(into, "\n");
      return;
    case "hardbreak":
      into.push(element("br", {}, []));
      pushText(into, "\n");
      return;
    case "hr":
      into.push(element("hr", {}, []));
      return;
    case "code_inline":
      into.push(element("code", {}, textNodes(withoutEndlessWords(token.content))));
      return;
    case "code_block":
    case "fence":
      into.push(codeBlock(token.content, token.type === "fence" ? token.info : ""));
      return;
    case "image":
      into.push(image(token, inLink));
      return;
    case "reference_definition":
      return;
    default:
      pushText(into, token.content);
  }
}

/**
 * A code block; the language is displayed only if it looks like a name.
 *
 * The code comes first and scrolls on its own, so that the button keeps its place.
 */
export function codeBlock(content: string, info: string): ElementNode {
  const language = /^\s*([\p{L}\p{N}+#._-]{1,32})(?:\s|$)/u.exec(info)?.[1];
  const attributes = language ? { "data-lang": language } : {};
  return element("pre", attributes, [
    element("code", { tabindex: "0" }, codeNodes(content)),
    element("button", COPY, []),
  ]);
}

const COPY = {
  type: "button",
  class: "agentnb-copy",
  title: "Copy code",
  "aria-label": "Copy code",
};

/** An image is replaced by a note with its address; it is loaded on a click. */
function image(token: Token, inLink: boolean): ElementNode {
  const alt = visibleText(imageText(token.children ?? []));
  const url = String(token.attrGet("src") ?? "");
  const address = imageAddress(url);
  const title = token.attrGet("title");
  const hint = [title === null ? "" : visibleText(String(title)), visibleText(address?.href ?? url)]
    .filter(Boolean)
    .join("\n");
  const label = [
    element("span", { class: "agentnb-image-alt" }, [{ text: alt || "Image" }]),
    element("span", { class: "agentnb-image-host" }, [
      { text: address ? visibleText(address.host) : "not loadable" },
    ]),
  ];
  if (!address || inLink) return element("span", { class: "agentnb-image", title: hint }, label);
  return element(
    "button",
    {
      type: "button",
      class: "agentnb-image",
      title: hint,
      "data-src": address.href,
      "aria-label": `Load image ${alt ? `“${alt}” ` : ""}from ${visibleText(address.host)}`,
    },
    label,
  );
}

function imageText(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      if (token.type === "image") return imageText(token.children ?? []);
      return /break$/.test(token.type) ? "\n" : token.content;
    })
    .join("");
}

function pushText(into: TreeNode[], text: string): void {
  for (const node of textNodes(withoutEndlessWords(text))) {
    const last = into[into.length - 1];
    // Adjacent texts are joined, so that the DOM does not depend on how the text was split.
    if (last && !("tag" in last) && !("tag" in node)) last.text += node.text;
    else into.push(node);
  }
}

function plainText(nodes: readonly TreeNode[]): string {
  return nodes.map((node) => ("tag" in node ? plainText(node.children) : node.text)).join("");
}
