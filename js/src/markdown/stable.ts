// Find the parts of a Markdown text that cannot change any more.
//
// Blocks are decided line by line: a block closed by a whole line stays closed, as do an item of a
// list once the next one has begun, a row of a table, and a line of code. Paragraphs are split by
// `paragraph.ts`.

import type { ElementNode, TreeNode } from "./dom.js";
import { lex } from "./lexer.js";
import { withoutStub } from "./paragraph.js";
import { type Block, buildTree } from "./tree.js";

/** Blocks that are split while they are open. */
export type Kind = "list" | "table" | "fence" | "paragraph";

export interface Cut {
  /** The first unfinished line. */
  line: number;
  /** Number of finished items or rows. */
  count: number;
  /** For code: the finished lines. */
  text: string;
}

/** Start of each line; the last one is incomplete, perhaps empty. */
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

/** The node of an open block that contains its items, rows or text. */
export function holderOf(kind: Kind, node: ElementNode): ElementNode | null {
  if (kind === "list" || kind === "paragraph") return node;
  const inner = node.children[kind === "table" ? 1 : 0];
  return inner && "tag" in inner ? inner : null;
}

/** The nodes of an open block's items, rows or text; `begun`: parts are finished. */
export function bodyOf(kind: Kind, node: ElementNode, begun: boolean): TreeNode[] {
  const nodes = holderOf(kind, node)?.children ?? [];
  return kind === "paragraph" && begun ? withoutStub(nodes) : nodes;
}

/**
 * Returns the number of finished blocks of a source whose last line is incomplete.
 *
 * The rest may still change; it begins with the first unfinished block, or after the last line of
 * the finished ones.
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
    // Closed by a following empty line. (Not by its own last line: a heading may be the head of a
    // table.)
    if (ENDED_BY_BLANK.has(block.type) && blank(block.end, block.end + 1)) return true;
    // Closed by the next block, once that is certain. A table is, with its second line: until that
    // is complete, its first one belongs to a paragraph.
    if (!next || next.start + (next.type === "table_open" ? 1 : 0) >= whole) return false;
    if (next.type === "reference_definition") return true;
    // The line after a definition, even in a list, may be its title, which has no empty line.
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

/** Returns the finished part of an open block, or null. */
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
    // The last item may still grow; those before it may not.
    const last = starts.findLastIndex((start) => start < whole);
    const line = starts[last];
    return last < 1 || line === undefined ? null : { line, count: last, text: "" };
  }
  const rows = starts.filter((start) => start >= block.start + 2 && start < whole);
  const line = rows[rows.length - 1];
  if (line === undefined) return null;
  return { line: line + 1, count: rows.length, text: "" };
}

/** Returns the prefix that makes the rest of a block parse as such. */
export function prefixOf(kind: Exclude<Kind, "paragraph">, block: Block, source: string): string {
  switch (kind) {
    case "list":
      // Without a preceding item, an item's line could be a table's head. Indented as far as an
      // item can be, so that any following item is its sibling.
      return `   ${markerOf(block)} x\n`;
    case "table":
      return source.slice(0, lineStarts(source)[2]);
    case "fence":
      // Without its info string, which could be a table's head as well.
      return `${/^[ \t]*(?:`+|~+)/.exec(source)?.[0] ?? "```"}\n`;
  }
}

const markerOf = (list: Block): string =>
  (list.type === "ordered_list_open" ? "1" : "") + (list.tokens[0]?.markup ?? "-");

function cutFence(block: Block, whole: number): Cut | null {
  const content = block.tokens[0]?.content ?? "";
  const lines = content.split("\n");
  const rendered = lines.length - (content.endsWith("\n") || content === "" ? 1 : 0);
  const closed = block.end > block.start + 1 + rendered;
  const done = whole - block.start - 1;
  if (closed || done < 1) return null;
  const text = lines
    .slice(0, done)
    .map((line) => `${line}\n`)
    .join("");
  return { line: whole, count: 0, text };
}

/** Returns whether a parsed list is visibly loose. */
export function isLoose(list: ElementNode): boolean {
  return list.attributes.class === "agentnb-loose";
}

/**
 * Returns whether a list is loose, as far as `source` has it.
 *
 * Only paragraphs show it, so one more item with a paragraph is parsed. Blank lines at the source's
 * end count, since they precede an item.
 */
export function looseUpTo(source: string, block: Block, list: ElementNode): boolean {
  const paragraphs = block.tokens.some(
    (token) => token.type === "paragraph_open" && token.level === 2,
  );
  if (paragraphs && !isLoose(list)) return false;
  const probe = `${source}${source.endsWith("\n") ? "" : "\n"}${markerOf(block)} x\n`;
  const probed = buildTree(lex(probe, { known: new Map(), final: true }).tokens)[0];
  return probed !== undefined && "tag" in probed && isLoose(probed);
}
