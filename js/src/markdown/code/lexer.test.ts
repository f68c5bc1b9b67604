// Code as coloured tokens: nothing lost, nothing slow, and the colours where a reader expects them.

import { describe, expect, test } from "vitest";
import pathological from "../../../../tests/conformance/markdown_pathological.json" with {
  type: "json",
};
import { readerOf } from "./languages.js";
import type { CodeToken } from "./lexer.js";

const NAMES = [
  "python",
  "sql",
  "json",
  "bash",
  "javascript",
  "typescript",
  "yaml",
  "toml",
  "r",
  "css",
  "c",
  "cpp",
  "java",
  "go",
  "rust",
  "julia",
  "html",
  "diff",
];

function read(code: string, language: string): CodeToken[] {
  const reader = readerOf(language);
  if (!reader) throw new Error(`no language ${language}`);
  return reader(code);
}

/** What of a code has a colour, as "text:kind". */
const coloured = (code: string, language: string): string[] =>
  read(code, language).flatMap(({ kind, text }) => (kind ? [`${text}:${kind}`] : []));

test.each<[string, string, string[]]>([
  [
    "python",
    '@cache\nasync def f(x: int = 0x1F) -> None:  # why\n  return f"{x}" or Price(x) or r"\\"',
    [
      "@cache:meta",
      "async:keyword",
      "def:keyword",
      "f:function",
      "0x1F:number",
      "None:atom",
      "# why:comment",
      "return:keyword",
      'f"{x}":string',
      "or:keyword",
      "Price:function",
      "or:keyword",
      'r"\\":string',
    ],
  ],
  ["python", '"""a\n# b"""\n#c', ['"""a\n# b""":string', "#c:comment"]],
  [
    "sql",
    "SELECT 'it''s', count(*) from T -- x",
    [
      "SELECT:keyword",
      "'it''s':string",
      "count:function",
      "from:keyword",
      "T:type",
      "-- x:comment",
    ],
  ],
  [
    "json",
    '{"a" : [1.5e-3, "b", null]}',
    ['"a":property', "1.5e-3:number", '"b":string', "null:atom"],
  ],
  [
    "bash",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a shell's, not ours
    'export A=1; echo "$A ${B}" $C a#b # x',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the same
    ["export:keyword", "A:property", "1:number", '"$A ${B}":string', "$C:variable", "# x:comment"],
  ],
  [
    "typescript",
    "const a: string = /x\\/+/g.test(b / c) ? `d\n` : f(1);",
    [
      "const:keyword",
      "string:keyword",
      "/x\\/+/g:string",
      "test:function",
      "`d\n`:string",
      "f:function",
      "1:number",
    ],
  ],
  [
    "yaml",
    'on: [push]\nurl: http://a.example # x\n- "k": yes',
    ["on:property", "url:property", "# x:comment", '"k":property', "yes:atom"],
  ],
  ["toml", '[a]\nb.c = "d" # e', ["b.c:property", '"d":string', "# e:comment"]],
  [
    "r",
    "x.y <- mean(c(1, NA)) # z",
    ["mean:function", "c:function", "1:number", "NA:atom", "# z:comment"],
  ],
  [
    "html",
    "<a href='x' b=c>&amp;</a><!-- d --><script>let x = 1;</script>",
    [
      "<a:tag",
      "href:attribute",
      "'x':string",
      "b:attribute",
      "c:string",
      ">:tag",
      "&amp;:atom",
      "</a>:tag",
      "<!-- d -->:comment",
      "<script>:tag",
      "let:keyword",
      "1:number",
      "</script>:tag",
    ],
  ],
  [
    "c",
    '#include <a.h>\nint f("b"); /* c */',
    ["#include:meta", "int:keyword", "f:function", '"b":string', "/* c */:comment"],
  ],
  ["css", ".a { color: #fff; } /* b */", ["color:property", "/* b */:comment"]],
  ["rust", 'let x: &\'a str = "b";', ["let:keyword", "'a:meta", "str:keyword", '"b":string']],
  ["diff", "--- a\n-b\n+c\n d", ["--- a\n:meta", "-b\n:deleted", "+c\n:inserted"]],
])("%s: %j", (language, code, expected) => {
  expect(coloured(code, language)).toEqual(expected);
});

test("names are known however they are written, and others are not guessed", () => {
  expect(readerOf("Python")).toBe(readerOf("py"));
  for (const name of ["", "text", "plain", "constructor", "__proto__"]) {
    expect(readerOf(name)).toBeUndefined();
  }
});

// Each begins something over and over that never ends, or ends in many ways.
const AWKWARD = [
  "a",
  "(",
  '"',
  "'",
  "`",
  '"""',
  "/",
  "/*",
  "<!--",
  "<a b='",
  "<a  b  ",
  "<script>",
  "<",
  "&",
  "${",
  "$",
  "`${",
  "=/",
  "\\",
  "0",
  "1e",
  "a.",
  "a:",
  "-",
  "#",
  "@",
  " ",
  "\n",
  "a \n",
  "\u{1f469}",
];

/** What is meant to be slow as Markdown, a few hundred times each. */
const PATHOLOGICAL = Object.values(pathological.patterns).flatMap((pieces: unknown) =>
  Array.isArray(pieces)
    ? [pieces.map(([text, times]) => String(text).repeat(Math.min(Number(times), 300))).join("")]
    : [],
);

describe("whatever is given", () => {
  test.each(NAMES)("%s loses nothing", (language) => {
    const texts = [...AWKWARD, ...AWKWARD.map((text) => text.repeat(50)), AWKWARD.join("")];
    texts.push(...PATHOLOGICAL);
    for (const text of texts) {
      const tokens = read(text, language);
      expect(tokens.map((token) => token.text).join("")).toBe(text);
      expect(tokens.every((token) => token.text !== "")).toBe(true);
    }
  });

  test.each(NAMES)("%s takes time in proportion", (language) => {
    for (const text of AWKWARD) {
      const small = effort(text.repeat(Math.ceil(2000 / text.length)), language);
      const large = effort(text.repeat(Math.ceil(16_000 / text.length)), language);
      // Eight times the text: a square would be 64 times the effort.
      expect(large / small, text).toBeLessThan(16);
    }
  });
});

/** The characters that patterns took and searches passed while a code was read. */
function effort(code: string, language: string): number {
  let sum = code.length;
  const { test: testOf } = RegExp.prototype;
  const { indexOf } = String.prototype;
  RegExp.prototype.test = function (this: RegExp, text: string) {
    const from = this.lastIndex;
    const found = testOf.call(this, text);
    sum += 1 + Math.max(0, this.lastIndex - from);
    return found;
  };
  String.prototype.indexOf = function (this: string, mark: string, from = 0) {
    const at = indexOf.call(this, mark, from);
    sum += (at < 0 ? this.length : at) - from;
    return at;
  };
  try {
    read(code, language);
  } finally {
    RegExp.prototype.test = testOf;
    String.prototype.indexOf = indexOf;
  }
  return sum;
}
