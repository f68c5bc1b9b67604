// Growing code in pieces, so that the browser lays out only the last one.

import { type ElementNode, element, type TreeNode } from "./dom.js";
import { isSame, takeShown } from "./taken.js";
import { textNodes, withoutEndlessWords } from "./texts.js";

/** A piece ends with the line in which it reaches this many characters. */
export const PIECE = 4000;

/** State of the last piece: whether it is the first, and its length in characters. */
export interface Filled {
  first: boolean;
  length: number;
}

export const EMPTY: Filled = { first: true, length: 0 };

/** Build the nodes of code that continues the given pieces. */
export function codeNodes(content: string, filled = EMPTY): TreeNode[] {
  const nodes: TreeNode[] = [];
  let { first, length } = filled;
  for (let from = 0; from < content.length; first = false, length = 0) {
    const end = pieceEnd(content, from, length);
    // The first piece has no element: most code has no other.
    for (const node of pieceNodes(content.slice(from, end), first)) nodes.push(node);
    from = end;
  }
  return nodes;
}

/** As `codeNodes`, but with at least one text node, to which later text is appended. */
export function tailNodes(content: string, filled: Filled): TreeNode[] {
  if (content !== "" || (!filled.first && filled.length === 0)) return codeNodes(content, filled);
  const nothing = { text: "" };
  return filled.first ? [nothing] : [piece([nothing])];
}

/** Return the state of the pieces after adding these lines. */
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

/** Remove settled lines from the start of `shown`; return false where they differ from it. */
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

/** Return the end of the piece that has `length` characters already and continues at `from`. */
function pieceEnd(text: string, from: number, length: number): number {
  const line = text.indexOf("\n", from + Math.max(0, PIECE - length - 1));
  return line < 0 ? text.length : line + 1;
}
