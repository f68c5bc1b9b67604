// Lexer for HTML and XML, in one pass like the other languages.

import { type CodeToken, type Grammar, Tokens, tokenize } from "./lexer.js";

const TAG = /<\/?[\p{L}_][\p{L}\p{N}_:.-]*/uy;
const NAME = /[^\s"'<>/=]+/y;
const ENTITY = /&#?\w{1,32};/y;

/** Splits markup into tokens, including its scripts and styles. */
export function tokenizeMarkup(
  code: string,
  inside: { script: Grammar; style: Grammar },
): CodeToken[] {
  const tokens = new Tokens();
  let at = 0;
  const upTo = (kind: CodeToken["kind"], end: number) => {
    tokens.add(kind, code.slice(at, end));
    at = end;
  };
  while (at < code.length) {
    if (code.startsWith("<!--", at)) {
      upTo("comment", after(code, "-->", at));
    } else if (code.startsWith("<!", at) || code.startsWith("<?", at)) {
      upTo("meta", after(code, ">", at));
    } else if (test(TAG, code, at)) {
      const name = code.slice(at, TAG.lastIndex).toLowerCase();
      upTo("tag", TAG.lastIndex);
      at = attributes(code, at, tokens);
      if (name === "<script" || name === "<style") {
        // Unclosed syntax extends to the end, so that it is searched only once.
        const close = code.indexOf(`</${name.slice(1)}`, at);
        const end = close < 0 ? code.length : close;
        tokenize(code.slice(at, end), name === "<script" ? inside.script : inside.style, tokens);
        at = end;
      }
    } else if (test(ENTITY, code, at)) {
      upTo("atom", ENTITY.lastIndex);
    } else {
      upTo(null, at + 1);
    }
  }
  return tokens.list;
}

/** Reads the attributes of a tag; returns where they end. */
function attributes(code: string, from: number, tokens: Tokens): number {
  let at = from;
  while (at < code.length) {
    const character = code[at] ?? "";
    if (character === ">") {
      tokens.add("tag", ">");
      return at + 1;
    }
    if (character === "<") return at;
    let kind: CodeToken["kind"] = null;
    let end = at + 1;
    if (character === '"' || character === "'") {
      kind = "string";
      end = after(code, character, at + 1);
    } else if (character === "/") {
      kind = "tag";
    } else if (test(NAME, code, at)) {
      kind = code[at - 1] === "=" ? "string" : "attribute";
      end = NAME.lastIndex;
    }
    tokens.add(kind, code.slice(at, end));
    at = end;
  }
  return at;
}

function test(pattern: RegExp, text: string, at: number): boolean {
  pattern.lastIndex = at;
  return pattern.test(text);
}

/** The position after the next match, or the end of the text. */
function after(code: string, mark: string, from: number): number {
  const at = code.indexOf(mark, from);
  return at < 0 ? code.length : at + mark.length;
}
