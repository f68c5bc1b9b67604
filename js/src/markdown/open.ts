// State of a stream: the open block, text that waits for definitions, and a rendering.

import type { ElementNode, TreeNode } from "./dom.js";
import type { Lexed } from "./lexer.js";
import type { Filled } from "./pieces.js";
import type { Kind } from "./stable.js";
import type { Block } from "./tree.js";

/** A block whose first items, rows or lines are finished and removed from the tail. */
export interface Open {
  kind: Kind;
  /** Prefix that makes the tail parse as the rest of this block. */
  prefix: string;
  node: ElementNode;
  /** The element to which items, rows or lines are added. */
  body: HTMLElement;
  /** The content of the tail in the body. */
  rendered: TreeNode[];
  /** For a list: whether its finished part is loose, and has paragraphs that this affects. */
  loose: boolean;
  paragraphs: boolean;
  /**
   * For a paragraph: the source of its finished part, and whether some of it waits for definitions.
   */
  source: string;
  waits: boolean;
  /** For code: how far its chunks are filled. */
  filled: Filled;
}

/** Finished text that uses link definitions which are still missing. */
export interface Waiting {
  source: string;
  /** Finds the nodes in the result of parsing the source again. */
  pick: (trees: TreeNode[]) => TreeNode[];
  parent: Node;
  nodes: TreeNode[];
}

/** Result of rendering prefix and tail once. */
export interface Drawn {
  source: string;
  /** Start of each line of the source. */
  lines: number[];
  blocks: Block[];
  /** Content of each block; empty for definitions. */
  trees: TreeNode[][];
  lexed: Lexed;
}

/** Number of items in the prefix, which are not part of the text. */
export const skipped = (open: Open): number => (open.kind === "list" ? 1 : 0);

/** Looseness only affects lists with paragraphs. */
export function showLoose(open: Open, loose: boolean): void {
  if (open.kind !== "list") return;
  const matters = loose && (open.paragraphs || hasParagraphs(open.rendered));
  if (matters) open.body.setAttribute("class", "agentnb-loose");
  else open.body.removeAttribute("class");
}

export function hasParagraphs(items: readonly TreeNode[]): boolean {
  return items.some(
    (item) => "tag" in item && item.children.some((child) => "tag" in child && child.tag === "p"),
  );
}
