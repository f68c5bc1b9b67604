// What a stream keeps in mind: of a block that is partly done, of text that waits, of a drawing.

import type { ElementNode, TreeNode } from "./dom.js";
import type { Lexed } from "./lexer.js";
import type { Filled } from "./pieces.js";
import type { Kind } from "./settle.js";
import type { Block } from "./tree.js";

/** A block whose first items, rows or lines are done and no longer part of the tail. */
export interface Open {
  kind: Kind;
  /** What must stand before the tail for it to be lexed as the rest of this block. */
  prefix: string;
  node: ElementNode;
  /** The element that items, rows or lines are added to. */
  body: HTMLElement;
  /** What the body shows of the tail. */
  shown: TreeNode[];
  /** Of a list: whether its done part is loose, and has paragraphs for which that matters. */
  loose: boolean;
  paragraphs: boolean;
  /** Of a paragraph: the source of its done part, and whether some of it waits for definitions. */
  source: string;
  waits: boolean;
  /** Of code: how far its pieces are filled by what is done. */
  filled: Filled;
}

/** Done text that looked for definitions that weren't there yet. */
export interface Waiting {
  source: string;
  /** Finds the nodes again in what the source shows when it is read once more. */
  pick: (trees: TreeNode[]) => TreeNode[];
  parent: Node;
  nodes: TreeNode[];
}

/** What one drawing made of prefix and tail. */
export interface Drawn {
  source: string;
  /** Where each line of the source starts. */
  lines: number[];
  blocks: Block[];
  /** For each block what it shows; nothing for definitions. */
  trees: TreeNode[][];
  lexed: Lexed;
}

/** How many items the prefix brings along that are not part of the text. */
export const skipped = (open: Open): number => (open.kind === "list" ? 1 : 0);

/** Loose or not only matters to a list that has paragraphs. */
export function showLoose(open: Open, loose: boolean): void {
  if (open.kind !== "list") return;
  const matters = loose && (open.paragraphs || hasParagraphs(open.shown));
  if (matters) open.body.setAttribute("class", "agentnb-loose");
  else open.body.removeAttribute("class");
}

export function hasParagraphs(items: readonly TreeNode[]): boolean {
  return items.some(
    (item) => "tag" in item && item.children.some((child) => "tag" in child && child.tag === "p"),
  );
}
