// Finds the part of a Markdown text that later text can't change: the settled part.
//
// Blocks settle line by line: a block closed by a whole line stays closed. So does a list item once
// the next one has begun, a table row, and a line of code. For paragraphs see `paragraph.ts`.

import type { ElementNode, TreeNode } from "./dom.js";
import { lex } from "./lexer.js";
import { withoutStub } from "./paragraph.js";
import { type Block, buildTree } from "./tree.js";

/** Blocks of which parts settle while the block is still open. */
export type Kind = "list" | "table" | "fence" | "paragraph";

export interface Cut {
  /** The first line that is not settled. */
  line: number;
  /** Number of settled items or rows. */
  count: number;
  /** For code: the settled lines. */
  text: string;
}

/** Return the start of each line; the last line is incomplete, perhaps empty. */
export function lineStarts(source: string): number[] {
  const starts = [0];
  for (let at = source.indexOf("\n"); at >= 0; at = source.indexOf("\n", at + 1))
    starts.push(at + 1);
  return starts;
}

export function kindOf(block: Block): Kind | null {
  switch (block.type) {
    case "bullet_list_open":
    case "ordered_list_open":
      return "list";
    case "table_open":
      return "table";
    case "fence":
      return "fence";
    case "paragraph_open":
      return "paragraph";
    default:
      return null;
  }
}

/** Return the node of an open block that contains its items, rows or text. */
export function holderOf(kind: Kind, node: ElementNode): ElementNode | null {
  if (kind === "list" || kind === "paragraph") return node;
  const inner = node.children[kind === "table" ? 1 : 0];
  return inner && "tag" in inner ? inner : null;
}

/** Return an open block's items, rows or text; `begun`: earlier parts have settled. */
export function bodyOf(kind: Kind, node: ElementNode, begun: boolean): TreeNode[] {
  const nodes = holderOf(kind, node)?.children ?? [];
  return kind === "paragraph" && begun ? withoutStub(nodes) : nodes;
}

/**
 * Return the number of settled blocks; the source's last line is incomplete.
 *
 * The rest starts at the first block that isn't settled, or after the last line of those that are.
 */
export function doneBlocks(
  source: string,
  lines: readonly number[],
  blocks: readonly Block[],
): number {
  const whole = lines.length - 1;
  const blank = (from: number, to: number) =>
    from < whole && /^[ \t]*\n/m.test(source.slice(lines[from], lines[Math.min(to, whole)]));
  const isDone = (at: number): boolean => {
    const block = blocks[at];
    const next = blocks[at + 1];
    if (!block) return false;
    // Closed by an empty line after it. (Not by its own: a heading may be the head of a table.)
    if (ENDED_BY_BLANK.has(block.type) && blank(block.end, block.end + 1)) return true;
    // Closed by the next block, once that is certain. A table is certain with its second line: until
    // that is complete, its first line belongs to a paragraph.
    if (!next || next.start + (next.type === "table_open" ? 1 : 0) >= whole) return false;
    if (next.type === "reference_definition") return true;
    // The text after a definition, even one inside a list, may turn out to be its title; no title
    // contains an empty line.
    const definition = block.tokens.findLast((token) => token.type === "reference_definition");
    return !definition || blank(definition.map?.[1] ?? 0, next.start);
  };
  let count = blocks.length;
  while (count > 0 && !isDone(count - 1)) count -= 1;
  return count;
}

const ENDED_BY_BLANK: ReadonlySet<string> = new Set([
  "paragraph_open",
  "heading_open",
  "hr",
  "reference_definition",
  "table_open",
  "blockquote_open",
]);

/** Return the settled part of an open block; null if there is none. */
export function cutInside(
  kind: Exclude<Kind, "paragraph">,
  block: Block,
  whole: number,
): Cut | null {
  if (kind === "fence") return cutFence(block, whole);
  const type = kind === "list" ? "list_item_open" : "tr_open";
  const level = kind === "list" ? 1 : 2;
  const children = block.tokens.filter((token) => token.type === type && token.level === level);
  const starts = children.map((token) => token.map?.[0] ?? 0);
  if (kind === "list") {
    // The last item that has certainly begun may still grow; those before it may not.
    const last = starts.findLastIndex((start) => start < whole);
    const line = starts[last];
    return last < 1 || line === undefined ? null : { line, count: last, text: "" };
  }
  const rows = starts.filter((start) => start >= block.start + 2 && start < whole);
  const line = rows[rows.length - 1];
  if (line === undefined) return null;
  return { line: line + 1, count: rows.length, text: "" };
}

/** Return the text that makes the lexer read the rest of a block as the rest of that block. */
export function prefixOf(kind: Exclude<Kind, "paragraph">, block: Block, source: string): string {
  switch (kind) {
    case "list":
      // Without a preceding item, an item's line could be read as a table's head. Indented to the
      // maximum, so that the next item is a sibling and not nested in it.
      return `   ${markerOf(block)} x\n`;
    case "table":
      return source.slice(0, lineStarts(source)[2]);
    case "fence":
      // Without its info string, which could also be read as a table's head.
      return `${/^[ \t]*(?:`+|~+)/.exec(source)?.[0] ?? "```"}\n`;
  }
}

const markerOf = (list: Block): string =>
  (list.type === "ordered_list_open" ? "1" : "") + (list.tokens[0]?.markup ?? "-");

function cutFence(block: Block, whole: number): Cut | null {
  const content = block.tokens[0]?.content ?? "";
  const lines = content.split("\n");
  const shown = lines.length - (content.endsWith("\n") || content === "" ? 1 : 0);
  const closed = block.end > block.start + 1 + shown;
  const done = whole - block.start - 1;
  if (closed || done < 1) return null;
  const text = lines
    .slice(0, done)
    .map((line) => `${line}\n`)
    .join("");
  return { line: whole, count: 0, text };
}

/** Return whether a list is displayed as loose. */
export function isLoose(list: ElementNode): boolean {
  return list.attributes.class === "agentnb-loose";
}

/**
 * Return whether the part of a list in `source` is loose.
 *
 * markdown-it marks only paragraphs, and decides for the whole list. So build the part with one more
 * item that has a paragraph. Blank lines at the source's end count: they precede that item.
 */
export function looseUpTo(source: string, block: Block, list: ElementNode): boolean {
  const paragraphs = block.tokens.some(
    (token) => token.type === "paragraph_open" && token.level === 2,
  );
  if (paragraphs && !isLoose(list)) return false;
  const probe = `${source}${source.endsWith("\n") ? "" : "\n"}${markerOf(block)} x\n`;
  const asked = buildTree(lex(probe, { known: new Map(), final: true }).tokens)[0];
  return asked !== undefined && "tag" in asked && isLoose(asked);
}
