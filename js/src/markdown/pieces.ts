// Growing code in chunks: the page lays out only the last one again.

import { type ElementNode, element, type TreeNode } from "./dom.js";
import { isSame, reuseElements } from "./reuse.js";
import { textNodes, withoutEndlessWords } from "./texts.js";

/** A chunk ends with the line in which it reaches so many characters. */
export const PIECE = 4000;

/** How far chunks are filled: whether the last is the first, and its length. */
export interface Filled {
  first: boolean;
  length: number;
}

export const EMPTY: Filled = { first: true, length: 0 };

/** The text of code, or of lines after those that filled chunks so far. */
export function codeNodes(content: string, filled = EMPTY): TreeNode[] {
  const nodes: TreeNode[] = [];
  let { first, length } = filled;
  for (let from = 0; from < content.length; first = false, length = 0) {
    const end = pieceEnd(content, from, length);
    // The first one is a bare text node: most code has no other.
    for (const node of pieceNodes(content.slice(from, end), first)) nodes.push(node);
    from = end;
  }
  return nodes;
}

/** The same for further lines; it has a text node even if they are empty. */
export function tailNodes(content: string, filled: Filled): TreeNode[] {
  if (content !== "" || (!filled.first && filled.length === 0)) return codeNodes(content, filled);
  const nothing = { text: "" };
  return filled.first ? [nothing] : [piece([nothing])];
}

/** Returns how far chunks are filled with these lines as well. */
export function filledBy(lines: string, filled: Filled): Filled {
  let { first, length } = filled;
  for (let from = 0; from < lines.length; ) {
    const end = pieceEnd(lines, from, length);
    length += end - from;
    from = end;
    if (length < PIECE) break;
    first = false;
    length = 0;
  }
  return { first, length };
}

/** Removes whole lines from the beginning of the content; false if it differs. */
export function takeCode(rendered: TreeNode[], lines: string, filled: Filled): boolean {
  const done = codeNodes(lines, filled);
  const last = done.length - 1;
  const end = done[last];
  const here = rendered[last];
  if (!end || !here) return false;
  if (filledBy(lines, filled).length === 0) {
    if (!done.every((node, i) => isSame(node, rendered[i]))) return false;
    rendered.splice(0, done.length);
    return true;
  }
  if (!("tag" in end)) return reuseElements(rendered, done, false);
  if (!("tag" in here) || !done.slice(0, last).every((node, i) => isSame(node, rendered[i])))
    return false;
  if (!reuseElements(here.children, end.children, false)) return false;
  rendered.splice(0, last);
  return true;
}

function pieceNodes(text: string, first: boolean): TreeNode[] {
  const nodes = textNodes(withoutEndlessWords(text));
  return first ? nodes : [piece(nodes)];
}

function piece(nodes: TreeNode[]): ElementNode {
  return element("span", { class: "agentnb-piece" }, nodes);
}

/** Where the chunk of `length` characters ends in a text, which continues it at `from`. */
function pieceEnd(text: string, from: number, length: number): number {
  const line = text.indexOf("\n", from + Math.max(0, PIECE - length - 1));
  return line < 0 ? text.length : line + 1;
}
