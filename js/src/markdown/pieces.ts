// Code that grows, in pieces: the page lays out the one that is written to, not those before it.

import { type ElementNode, element, type TreeNode } from "./dom.js";
import { isSame, takeShown } from "./taken.js";
import { textNodes, withoutEndlessWords } from "./texts.js";

/** A piece ends with the line in which it reaches so many characters. */
export const PIECE = 4000;

/** How far pieces are filled: whether the last is the first, and how many characters it has. */
export interface Filled {
  first: boolean;
  length: number;
}

export const EMPTY: Filled = { first: true, length: 0 };

/** The text of code, or of lines that come after those that filled pieces so far. */
export function codeNodes(content: string, filled = EMPTY): TreeNode[] {
  const nodes: TreeNode[] = [];
  let { first, length } = filled;
  for (let from = 0; from < content.length; first = false, length = 0) {
    const end = pieceEnd(content, from, length);
    // The first is bare: most code has no other.
    for (const node of pieceNodes(content.slice(from, end), first)) nodes.push(node);
    from = end;
  }
  return nodes;
}

/** The same for what comes next; it has a text for it even where that is empty as yet. */
export function tailNodes(content: string, filled: Filled): TreeNode[] {
  if (content !== "" || (!filled.first && filled.length === 0)) return codeNodes(content, filled);
  const nothing = { text: "" };
  return filled.first ? [nothing] : [piece([nothing])];
}

/** How far pieces are filled with these lines, too. */
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

/** Takes whole lines from what is shown, which begins with them; false where it doesn't. */
export function takeCode(shown: TreeNode[], lines: string, filled: Filled): boolean {
  const done = codeNodes(lines, filled);
  const last = done.length - 1;
  const end = done[last];
  const here = shown[last];
  if (!end || !here) return false;
  if (filledBy(lines, filled).length === 0) {
    if (!done.every((node, i) => isSame(node, shown[i]))) return false;
    shown.splice(0, done.length);
    return true;
  }
  if (!("tag" in end)) return takeShown(shown, done, false);
  if (!("tag" in here) || !done.slice(0, last).every((node, i) => isSame(node, shown[i])))
    return false;
  if (!takeShown(here.children, end.children, false)) return false;
  shown.splice(0, last);
  return true;
}

function pieceNodes(text: string, first: boolean): TreeNode[] {
  const nodes = textNodes(withoutEndlessWords(text));
  return first ? nodes : [piece(nodes)];
}

function piece(nodes: TreeNode[]): ElementNode {
  return element("span", { class: "agentnb-piece" }, nodes);
}

/** Where the piece that has `length` characters ends in a text, which goes on with it at `from`. */
function pieceEnd(text: string, from: number, length: number): number {
  const line = text.indexOf("\n", from + Math.max(0, PIECE - length - 1));
  return line < 0 ? text.length : line + 1;
}
