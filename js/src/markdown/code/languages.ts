// Languages with highlighting, and their names.

import { type CodeToken, type Grammar, type Quote, Tokens, tokenize } from "./lexer.js";
import { tokenizeMarkup } from "./markup.js";

const words = (text: string): ReadonlySet<string> => new Set(text.split(" "));
const NONE: ReadonlySet<string> = new Set();

const DOUBLE: Quote = { open: '"' };
const SINGLE: Quote = { open: "'" };
const BACKTICK: Quote = { open: "`", lines: true };
const TRIPLE: readonly Quote[] = [
  { open: '"""', lines: true },
  { open: "'''", lines: true },
];
const C_COMMENTS = { line: ["//"], block: [["/*", "*/"]] } as const;
const SHARP = { line: ["#"], block: [] } as const;

const python: Grammar = {
  ...SHARP,
  keywords: words(
    "and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield",
  ),
  atoms: words("True False None Ellipsis self cls"),
  quotes: [...TRIPLE, DOUBLE, SINGLE],
  decorators: true,
  names: true,
};

const C_WORDS =
  "break case const continue default do else enum extern for goto if return sizeof static struct switch typedef union volatile while char double float int long short signed unsigned void bool auto inline register";
const OBJECT_WORDS =
  "abstract catch class extends final finally implements import instanceof interface new package private protected public super this throw throws try byte boolean native synchronized var record";

const c: Grammar = {
  ...C_COMMENTS,
  keywords: words(
    `${C_WORDS} catch class concept constexpr delete explicit final friend namespace new noexcept operator override private protected public template this throw try typename using virtual`,
  ),
  atoms: words("true false NULL nullptr"),
  quotes: [DOUBLE, SINGLE],
  directives: true,
  names: true,
};

const java: Grammar = {
  ...C_COMMENTS,
  keywords: words(
    `${C_WORDS} ${OBJECT_WORDS} as async await data decimal def delegate event foreach fun func get given guard in internal is let match namespace object operator out override protocol readonly ref sealed set string trait using val virtual when yield`,
  ),
  atoms: words("true false null nil self None Some"),
  quotes: [{ open: '"""', lines: true }, DOUBLE, SINGLE],
  decorators: true,
  directives: true,
  names: true,
};

const JS_WORDS =
  "async await break case catch class const continue debugger default delete do else export extends finally for from function get if import in instanceof let new of return set static super switch throw try typeof var void while with yield";

const javascript: Grammar = {
  ...C_COMMENTS,
  keywords: words(JS_WORDS),
  atoms: words("true false null undefined NaN Infinity this"),
  quotes: [DOUBLE, SINGLE, BACKTICK],
  decorators: true,
  patterns: true,
  names: true,
};

const typescript: Grammar = {
  ...javascript,
  keywords: words(
    `${JS_WORDS} abstract any as asserts boolean declare enum implements infer interface is keyof namespace never number object override private protected public readonly satisfies string symbol type unknown`,
  ),
};

const go: Grammar = {
  ...C_COMMENTS,
  keywords: words(
    "break case chan const continue default defer else fallthrough for func go goto if import interface map package range return select struct switch type var bool byte error float32 float64 int int32 int64 rune string uint any",
  ),
  atoms: words("true false nil iota"),
  quotes: [DOUBLE, SINGLE, { open: "`", lines: true, escape: null }],
  names: true,
};

const rust: Grammar = {
  ...C_COMMENTS,
  keywords: words(
    "as async await break const continue crate dyn else enum extern fn for if impl in let loop match mod move mut pub ref return static struct super trait type unsafe use where while bool char f32 f64 i8 i16 i32 i64 isize str u8 u16 u32 u64 usize",
  ),
  atoms: words("true false self Self None Some Ok Err"),
  quotes: [{ open: '"', lines: true }],
  lifetimes: true,
  names: true,
};

const r: Grammar = {
  ...SHARP,
  keywords: words("if else for while repeat function return next break in library require"),
  atoms: words("TRUE FALSE NULL NA NA_integer_ NA_real_ NA_character_ NaN Inf"),
  quotes: [DOUBLE, SINGLE, { open: "`" }],
  word: /[\p{L}.][\p{L}\p{N}._]*/uy,
  names: true,
};

const script: Grammar = {
  ...SHARP,
  block: [["#=", "=#"]],
  keywords: words(
    "begin break case class catch const continue def do else elseif elsif end ensure export extend for function if import include in let local macro module mutable next primitive quote raise require rescue return struct then try unless until using when while where yield",
  ),
  atoms: words("true false nil nothing missing self"),
  quotes: [...TRIPLE, DOUBLE, SINGLE],
  decorators: true,
  names: true,
};

const sql: Grammar = {
  line: ["--"],
  block: [["/*", "*/"]],
  keywords: words(
    "add all alter and any as asc begin between by case cast check column commit constraint create cross database default delete desc describe distinct drop else end except exists explain foreign from full function grant group having if ilike in index inner insert intersect interval into is join key lateral left like limit natural not offset on or order outer over partition primary procedure range recursive references replace returning right rollback row rows schema select set show table temporary then to transaction trigger truncate union unique update use using values view when where window with bigint boolean char date decimal double float int integer json numeric real serial text time timestamp varchar",
  ),
  atoms: words("true false null current_date current_timestamp"),
  anyCase: true,
  quotes: [
    { open: "'", lines: true, escape: null },
    { open: '"', escape: null },
    { open: "`", escape: null },
  ],
  variables: true,
  names: true,
};

const bash: Grammar = {
  ...SHARP,
  keywords: words(
    "if then else elif fi for while until do done case esac in function select return exit export local readonly declare unset set source alias trap shift break continue eval exec sudo",
  ),
  atoms: words("true false"),
  quotes: [
    { open: '"', lines: true },
    { open: "'", lines: true, escape: null },
  ],
  word: /[\p{L}_][\p{L}\p{N}_]*(?:[-.][\p{L}\p{N}_]+)*/uy,
  property: "equals",
  variables: true,
};

const json: Grammar = {
  ...C_COMMENTS,
  keywords: NONE,
  atoms: words("true false null NaN Infinity"),
  quotes: [DOUBLE, SINGLE],
  property: "colon",
  quotedNames: true,
};

const yaml: Grammar = {
  ...SHARP,
  keywords: NONE,
  atoms: words("true false null yes no on off"),
  quotes: [DOUBLE, { open: "'", escape: null }],
  word: /[\p{L}_&*!][\p{L}\p{N}_./-]*/uy,
  property: "spaced",
  quotedNames: true,
};

const toml: Grammar = {
  line: ["#", ";"],
  block: [],
  keywords: NONE,
  atoms: words("true false"),
  quotes: [...TRIPLE, DOUBLE, SINGLE],
  word: /[\p{L}_][\p{L}\p{N}_.-]*/uy,
  property: "equals",
  quotedNames: true,
};

const css: Grammar = {
  ...C_COMMENTS,
  line: [],
  keywords: words("important inherit initial unset revert none auto"),
  atoms: NONE,
  quotes: [DOUBLE, SINGLE],
  word: /-{0,2}[\p{L}_][\p{L}\p{N}_-]*/uy,
  property: "spaced",
  decorators: true,
  names: true,
};

function tokenizeDiff(code: string): CodeToken[] {
  const tokens = new Tokens();
  for (const line of code.split(/(?<=\n)/)) {
    if (/^(?:\+\+\+|---|@@|diff |index )/.test(line)) tokens.add("meta", line);
    else if (line.startsWith("+")) tokens.add("inserted", line);
    else if (line.startsWith("-")) tokens.add("deleted", line);
    else tokens.add(null, line);
  }
  return tokens.list;
}

type Reader = (code: string) => CodeToken[];

const plain =
  (grammar: Grammar): Reader =>
  (code) =>
    tokenize(code, grammar);

const markup: Reader = (code) => tokenizeMarkup(code, { script: javascript, style: css });

const READERS: readonly (readonly [Reader, string])[] = [
  [plain(python), "python py python3 ipython pycon sage"],
  [plain(sql), "sql postgres postgresql psql mysql sqlite tsql plsql duckdb bigquery snowflake"],
  [plain(json), "json json5 jsonc jsonl ndjson geojson ipynb"],
  [plain(bash), "bash sh shell zsh console shellsession terminal"],
  [plain(javascript), "javascript js jsx mjs cjs node"],
  [plain(typescript), "typescript ts tsx"],
  [plain(yaml), "yaml yml"],
  [plain(toml), "toml ini cfg conf properties env dotenv"],
  [plain(r), "r rscript"],
  [plain(css), "css scss less"],
  [plain(c), "c h cpp c++ cc cxx hpp cuda"],
  [plain(java), "java kotlin kt scala csharp c# cs swift dart groovy php"],
  [plain(go), "go golang"],
  [plain(rust), "rust rs"],
  [plain(script), "julia jl ruby rb"],
  [markup, "html xml svg xhtml vue svelte markup rss"],
  [tokenizeDiff, "diff patch"],
];

const BY_NAME = new Map<string, Reader>(
  READERS.flatMap(([reader, names]) =>
    names.split(" ").map((name): [string, Reader] => [name, reader]),
  ),
);

/** Returns the lexer of a language, or undefined. */
export function readerOf(language: string): Reader | undefined {
  return BY_NAME.get(language.toLowerCase());
}
