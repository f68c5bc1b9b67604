// State of a stream: the open block, text waiting for definitions, results of a render.

import type { ElementNode, TreeNode } from "./dom.js";
import type { Lexed } from "./lexer.js";
import type { Filled } from "./pieces.js";
import type { Kind } from "./settle.js";
import type { Block } from "./tree.js";

/** A block whose settled items, rows or lines are no longer part of the tail. */
export interface Open {
  kind: Kind;
  /** Text that makes the lexer read the tail as the rest of this block. */
  prefix: string;
  node: ElementNode;
  /** The element that contains items, rows or lines. */
  body: HTMLElement;
  /** The displayed nodes of the body that belong to the tail. */
  shown: TreeNode[];
  /** For a list: whether its settled part is loose, and whether it has paragraphs. */
  loose: boolean;
  paragraphs: boolean;
  /** For a paragraph: the source of its settled part, and whether it waits for definitions. */
  source: string;
  waits: boolean;
  /** For code: the fill level of its last settled piece. */
  filled: Filled;
}

/** Settled text with references to definitions that have not arrived. */
export interface Waiting {
  source: string;
  /** Selects this text's nodes when its source is built again. */
  pick: (trees: TreeNode[]) => TreeNode[];
  parent: Node;
  nodes: TreeNode[];
}

/** Result of rendering prefix and tail. */
export interface Drawn {
  source: string;
  /** Start of each line of the source. */
  lines: number[];
  blocks: Block[];
  /** The nodes of each block; none for definitions. */
  trees: TreeNode[][];
  lexed: Lexed;
}

/** Return the number of items in the prefix, which are not part of the text. */
export const skipped = (open: Open): number => (open.kind === "list" ? 1 : 0);

/** Set or remove the class of loose lists, which affects only lists with paragraphs. */
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
