// Where a paragraph that is still being written can be taken apart.
//
// Its first part is done where nothing in it can have to do with what comes later: no mark waits for
// its partner. Only marks that writers usually make are understood; at any other the search ends,
// and what follows stays in one piece.

import type { TreeNode } from "./dom.js";
import { type Definition, lex } from "./lexer.js";
import { buildTree } from "./tree.js";

/** What stands before the rest of a paragraph for it to be read as that. */
export const STUB = "x";

/** Parts that are smaller aren't worth it. */
const LEAST = 400;

const WORD = /[\p{L}\p{N}]/u;
/** What may stand right before a part's end: nothing that works together with what follows. */
const BEFORE_CUT = /[\p{L}\p{N}.,:;?)"'’”…%]/u;
/** A whole piece of code; a link, or what may be one by reference; emphasis of one kind. */
const CODE = /(?<!`)(`+)(?!`)[^`]+\1(?!`)/y;
const LINK =
  /\[[^[\]()*_~`\\<>!&\n|]{1,200}\](?:\((?:https?:\/\/|mailto:)[^\s()<>\\`|]*\)|(?![([:]))/y;
const STRONG =
  /(\*{1,3}|_{1,3}|~~)(?=[\p{L}\p{N}])[^*_~`[\]\\<>!&|]*(?<=[\p{L}\p{N}.,:;?%])\1(?=[\s.,:;?)])/uy;
const MARKS = /[*_~]+/y;

/** The end of the last part of `text` that is done; 0 where none is. `begun`: others came before. */
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
      // A line with a bar may be a table's head, one without a word anything.
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
      // Of these only what marks nothing: an exclamation, or a comparison.
      if (character === "\\" || !/^[\s\d="')]/.test(text.slice(at + 1, at + 2))) break;
      at += 1;
    } else {
      at += 1;
    }
  }
  return cut < LEAST ? 0 : cut;
}

/** The end of what begins with a mark, if it ends; -1 where that isn't certain. */
function markEnd(text: string, at: number): number {
  const before = text[at - 1] ?? " ";
  if (text[at] === "`") return matchEnd(CODE, text, at);
  if (text[at] === "[") return matchEnd(LINK, text, at);
  const stop = matchEnd(MARKS, text, at);
  const marks = text.slice(at, stop);
  const after = text[stop] ?? "";
  if (after === "") return -1;
  // Marks between spaces are none, nor are underscores in a word, nor a tilde alone.
  if (/\s/.test(before) && /\s/.test(after)) return stop;
  if (/^_+$/.test(marks) && WORD.test(before) && WORD.test(after)) return stop;
  if (marks === "~") return stop;
  return /[\s("'“‘—–-]/.test(before) ? matchEnd(STRONG, text, at) : -1;
}

function matchEnd(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

/** What a paragraph shows, without the stub that it was made to begin with. */
export function withoutStub(nodes: readonly TreeNode[]): TreeNode[] {
  const [first, ...rest] = nodes;
  if (!first || "tag" in first) return [...nodes];
  const text = first.text.slice(STUB.length);
  return text === "" ? rest : [{ text }, ...rest];
}

/** A part of a paragraph as it is read by itself; null where it is something else then. */
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
