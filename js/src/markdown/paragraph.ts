// Find where a paragraph that still grows can be split.
//
// The first part is finished if nothing in it depends on later text: all marks are closed. Only
// common marks are supported; at any other the search ends, and the rest stays in one piece.

import type { TreeNode } from "./dom.js";
import { type Definition, lex } from "./lexer.js";
import { buildTree } from "./tree.js";

/** Prefix that makes the rest of a paragraph parse as one. */
export const STUB = "x";

/** Smaller parts are not worth splitting. */
const LEAST = 400;

const WORD = /[\p{L}\p{N}]/u;
/** Characters that may end a part, since they do not combine with the next one. */
const BEFORE_CUT = /[\p{L}\p{N}.,:;?)"'’”…%]/u;
/** A code span; a link, or a possible reference; emphasis of one kind. */
const CODE = /(?<!`)(`+)(?!`)[^`]+\1(?!`)/y;
const LINK =
  /\[[^[\]()*_~`\\<>!&\n|]{1,200}\](?:\((?:https?:\/\/|mailto:)[^\s()<>\\`|]*\)|(?![([:]))/y;
const STRONG =
  /(\*{1,3}|_{1,3}|~~)(?=[\p{L}\p{N}])[^*_~`[\]\\<>!&|]*(?<=[\p{L}\p{N}.,:;?%])\1(?=[\s.,:;?)])/uy;
const MARKS = /[*_~]+/y;

/** End of the last finished part of `text`, or 0. `begun`: parts were split off before. */
export function doneLength(text: string, begun: boolean): number {
  // It could be a definition of a link.
  if (!begun && /^\s*\[/.test(text)) return 0;
  let cut = 0;
  let lineStart = 0;
  let at = 0;
  while (at < text.length) {
    const character = text[at] ?? "";
    if (character === " " || character === "\n") {
      const before = text.slice(Math.max(0, at - 2), at);
      // A line with a bar may be the head of a table; a line without a word may be anything.
      const line = text.slice(lineStart, at);
      const decided = WORD.test(line) && !line.includes("|");
      if (decided && BEFORE_CUT.test(before.slice(-1))) cut = at;
      if (character === "\n") lineStart = at + 1;
      at += 1;
    } else if (/[`[*_~]/.test(character)) {
      const stop = markEnd(text, at);
      if (stop < 0) break;
      at = stop;
    } else if (/[\\<!]/.test(character)) {
      // Only uses without a meaning: an exclamation, or a comparison.
      if (character === "\\" || !/^[\s\d="')]/.test(text.slice(at + 1, at + 2))) break;
      at += 1;
    } else {
      at += 1;
    }
  }
  return cut < LEAST ? 0 : cut;
}

/** End of the syntax that begins here; -1 if it is uncertain. */
function markEnd(text: string, at: number): number {
  const before = text[at - 1] ?? " ";
  if (text[at] === "`") return matchEnd(CODE, text, at);
  if (text[at] === "[") return matchEnd(LINK, text, at);
  const stop = matchEnd(MARKS, text, at);
  const marks = text.slice(at, stop);
  const after = text[stop] ?? "";
  if (after === "") return -1;
  // Marks between spaces, underscores in a word and single tildes mean nothing.
  if (/\s/.test(before) && /\s/.test(after)) return stop;
  if (/^_+$/.test(marks) && WORD.test(before) && WORD.test(after)) return stop;
  if (marks === "~") return stop;
  return /[\s("'“‘—–-]/.test(before) ? matchEnd(STRONG, text, at) : -1;
}

function matchEnd(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

/** Content of a paragraph without its artificial prefix. */
export function withoutStub(nodes: readonly TreeNode[]): TreeNode[] {
  const [first, ...rest] = nodes;
  if (!first || "tag" in first) return [...nodes];
  const text = first.text.slice(STUB.length);
  return text === "" ? rest : [{ text }, ...rest];
}

/** Part of a paragraph, parsed on its own; null if it is something else then. */
export function readPart(
  source: string,
  begun: boolean,
  known: ReadonlyMap<string, Definition>,
): { nodes: TreeNode[]; missed: ReadonlySet<string> } | null {
  const { tokens, missed } = lex((begun ? STUB : "") + source, { known, final: true });
  const [tree, ...others] = buildTree(tokens);
  if (!tree || !("tag" in tree) || tree.tag !== "p" || others.length > 0) return null;
  return { nodes: begun ? withoutStub(tree.children) : tree.children, missed };
}
