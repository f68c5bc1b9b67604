// Splits code into coloured tokens, in one pass.
//
// Code comes from models, so the lexer must never block the page. It never looks back, and
// lookahead is bounded or consumed, so that the time is linear in the length of any text.

export type Kind =
  | "atom"
  | "attribute"
  | "comment"
  | "function"
  | "inserted"
  | "deleted"
  | "keyword"
  | "meta"
  | "number"
  | "property"
  | "string"
  | "tag"
  | "type"
  | "variable";

export interface CodeToken {
  /** Null for tokens without a colour. */
  kind: Kind | null;
  text: string;
}

/** Description of a language made of words, strings and comments. */
export interface Grammar {
  keywords: ReadonlySet<string>;
  /** Words that are values: true, null. */
  atoms: ReadonlySet<string>;
  /** Whether keywords and atoms, which are listed in lower case, are case-insensitive. */
  anyCase?: boolean;
  /** Starts of line comments. */
  line: readonly string[];
  /** Starts and ends of block comments. */
  block: readonly (readonly [string, string])[];
  /** Quotes; the first match is used, so longer ones come first. */
  quotes: readonly Quote[];
  /** Sticky pattern of a word; by default letters, digits and underscores. */
  word?: RegExp;
  /** What follows a property name: "colon", the same before a space, or "equals". */
  property?: "colon" | "spaced" | "equals";
  /** Whether a string may be a property name. */
  quotedNames?: boolean;
  /** Whether there are names such as @this, #this (at the beginning of a line), $this and 'this. */
  decorators?: boolean;
  directives?: boolean;
  variables?: boolean;
  lifetimes?: boolean;
  /** Whether a slash may begin a regular expression. */
  patterns?: boolean;
  /** Whether calls and capitalized words have a colour. */
  names?: boolean;
}

export interface Quote {
  open: string;
  /** Whether it may span lines. */
  lines?: boolean;
  /** Escape character; null without escapes. */
  escape?: string | null;
}

const WORD = /[\p{L}_$][\p{L}\p{N}_$]*/uy;
const NUMBER = /(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?)[\p{L}%]*/uy;
const STRING_PREFIX = /^(?:[rbfut]|br|rb|fr|rf|tr|rt|L|u8|R)$/i;
const AHEAD = 16;

/** Collects tokens; adjacent ones of one kind are joined. */
export class Tokens {
  readonly list: CodeToken[] = [];

  add(kind: Kind | null, text: string): void {
    if (text === "") return;
    const last = this.list[this.list.length - 1];
    if (last && last.kind === kind) last.text += text;
    else this.list.push({ kind, text });
  }
}

/** Splits code into tokens, whose concatenation is the code. */
export function tokenize(code: string, grammar: Grammar, tokens = new Tokens()): CodeToken[] {
  const word = grammar.word ?? WORD;
  let at = 0;
  /** Whether a value precedes, so that a slash is a division. */
  let valued = false;
  /** Whether only white space precedes in this line. */
  let fresh = true;
  const take = (kind: Kind | null, end: number, value = false) => {
    tokens.add(kind, code.slice(at, end));
    at = end;
    valued = value;
    fresh = false;
  };
  while (at < code.length) {
    const character = code[at] ?? "";
    if (character === "\n") {
      tokens.add(null, "\n");
      at += 1;
      fresh = true;
      continue;
    }
    if (character === " " || character === "\t") {
      tokens.add(null, character);
      at += 1;
      continue;
    }
    const comment = commentEnd(code, at, grammar);
    if (comment > at) {
      take("comment", comment, valued);
      continue;
    }
    const string = stringEnd(code, at, grammar);
    if (string > at) {
      const named = grammar.quotedNames === true && names(code, string, grammar);
      take(named ? "property" : "string", string, true);
      continue;
    }
    if (character >= "0" && character <= "9") {
      take("number", match(NUMBER, code, at) || at + 1, true);
      continue;
    }
    const sigil = sigilKind(character, grammar, fresh);
    if (sigil) {
      const end = character === "$" ? variableEnd(code, at, word) : match(word, code, at + 1);
      if (end > at + 1) {
        take(sigil, end, true);
        continue;
      }
    }
    const end = match(word, code, at);
    if (end > at) {
      const text = code.slice(at, end);
      const quoted =
        text.length < 3 && STRING_PREFIX.test(text) && /["'`]/.test(code[end] ?? "")
          ? stringEnd(code, end, grammar, /r/i.test(text))
          : 0;
      if (quoted > end) take("string", quoted, true);
      else {
        const kind = wordKind(text, code, end, grammar);
        take(kind, end, kind !== "keyword");
      }
      continue;
    }
    const pattern = grammar.patterns && character === "/" && !valued ? patternEnd(code, at) : 0;
    if (pattern > at) take("string", pattern, true);
    else take(null, at + 1, character === ")" || character === "]" || character === "}");
  }
  return tokens.list;
}

function match(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : 0;
}

function lineEnd(code: string, at: number): number {
  const end = code.indexOf("\n", at);
  return end < 0 ? code.length : end;
}

function commentEnd(code: string, at: number, { line, block }: Grammar): number {
  for (const open of line) {
    if (!code.startsWith(open, at)) continue;
    // In a shell or in YAML a number sign inside a word is part of it.
    const inWord = open === "#" && /[^\s;(){}[\],]/.test(code[at - 1] ?? " ");
    if (!inWord) return lineEnd(code, at);
  }
  for (const [open, close] of block) {
    if (!code.startsWith(open, at)) continue;
    const end = code.indexOf(close, at + open.length);
    return end < 0 ? code.length : end + close.length;
  }
  return 0;
}

/** End of the string that begins here, or 0. An unclosed one ends with its line, or the text. */
function stringEnd(code: string, at: number, { quotes }: Grammar, raw = false): number {
  const quote = quotes.find(({ open }) => code.startsWith(open, at));
  if (!quote) return 0;
  const skip = raw ? null : quote.escape === undefined ? "\\" : quote.escape;
  let end = at + quote.open.length;
  while (end < code.length) {
    const character = code[end];
    if (character === skip) end += 2;
    else if (character === "\n" && !quote.lines) return end;
    else if (code.startsWith(quote.open, end)) return end + quote.open.length;
    else end += 1;
  }
  return Math.min(end, code.length);
}

/** End of a regular expression between slashes, or 0 without a second slash in its line. */
function patternEnd(code: string, at: number): number {
  // Bounded, so that a line without a second slash is not scanned again and again.
  const limit = Math.min(code.length, at + 400);
  for (let end = at + 1; end < limit && code[end] !== "\n"; end += 1) {
    if (code[end] === "\\") end += 1;
    else if (code[end] === "/" && end > at + 1) return match(/\w*/y, code, end + 1) || end + 1;
  }
  return 0;
}

function sigilKind(character: string, grammar: Grammar, fresh: boolean): Kind | null {
  if (character === "$" && grammar.variables) return "variable";
  if (character === "@" && grammar.decorators) return "meta";
  if (character === "#" && grammar.directives && fresh) return "meta";
  if (character === "'" && grammar.lifetimes) return "meta";
  return null;
}

function variableEnd(code: string, at: number, word: RegExp): number {
  if (code[at + 1] !== "{") return match(word, code, at + 1) || match(/[\d?#@*!$-]/y, code, at + 1);
  const end = code.slice(at, at + 80).search(/[}\n]/);
  return end > 0 && code[at + end] === "}" ? at + end + 1 : 0;
}

function wordKind(text: string, code: string, end: number, grammar: Grammar): Kind | null {
  if (names(code, end, grammar)) return "property";
  const known = grammar.anyCase ? text.toLowerCase() : text;
  if (grammar.keywords.has(known)) return "keyword";
  if (grammar.atoms.has(known)) return "atom";
  if (!grammar.names) return null;
  if (nextOf(code, end) === "(") return "function";
  return /^\p{Lu}/u.test(text) ? "type" : null;
}

/** Returns whether a property name ends here. */
function names(code: string, end: number, { property }: Grammar): boolean {
  if (!property) return false;
  const at = skipBlanks(code, end);
  if (property === "equals") return code[at] === "=";
  return code[at] === ":" && (property === "colon" || /\s/.test(code[at + 1] ?? " "));
}

function nextOf(code: string, at: number): string {
  return code[skipBlanks(code, at)] ?? "";
}

function skipBlanks(code: string, from: number): number {
  let at = from;
  while (at < from + AHEAD && (code[at] === " " || code[at] === "\t")) at += 1;
  return at;
}
