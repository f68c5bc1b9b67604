// markdown-it as this project uses it: CommonMark, GFM tables and strikethrough, no raw HTML.

import MarkdownIt, { type Env, type Token } from "markdown-it";
import { mendInline } from "./autoclose.js";

/** A link reference definition, as markdown-it stores it. */
export interface Definition {
  href: string;
  title: string;
}

export interface LexOptions {
  /** Definitions before this text, by normalised label. */
  known: ReadonlyMap<string, Definition>;
  /**
   * Whether the text is complete. Until then open syntax at its end is closed there, and its own
   * definitions are not used, since an address may be incomplete.
   */
  final: boolean;
}

export interface Lexed {
  tokens: Token[];
  /** New definitions in this text. */
  defined: Map<string, Definition>;
  /** Labels that were looked up but not defined. */
  missed: Set<string>;
}

class Lexing {
  readonly defined = new Map<string, Definition>();
  readonly missed = new Set<string>();
  readonly final: boolean;
  inline = false;
  readonly references: Record<string, Definition>;

  constructor({ known, final }: LexOptions) {
    this.final = final;
    // markdown-it reads and writes labels in an object; the first definition wins.
    this.references = new Proxy<Record<string, Definition>>(Object.create(null), {
      get: (_target, name) => {
        const label = String(name);
        const found =
          known.get(label) ?? (this.final || !this.inline ? this.defined.get(label) : undefined);
        if (!found && this.inline) this.missed.add(label);
        return found;
      },
      set: (_target, name, definition: Definition) => {
        this.defined.set(String(name), definition);
        return true;
      },
    });
  }
}

/** markdown-it drops blocks that are nested deeper. */
export const MAX_NESTING = 100;

const md = new MarkdownIt({
  html: false,
  linkify: false,
  typographer: false,
  maxNesting: MAX_NESTING,
});
// Definitions stay among the tokens, so that their lines are known.
md.core.ruler.disable("strip_references");
md.core.ruler.before("inline", "agentnb_mend", (state) => {
  const lexing = state.env.agentnb as Lexing;
  lexing.inline = true;
  for (const token of state.tokens) {
    if (token.type === "fence") token.info = md.utils.unescapeAll(token.info);
  }
  if (lexing.final) return;
  const last = state.tokens.findLast((token) => token.type === "inline");
  const lines = state.src.split("\n").length;
  // Only the passage with the last line, which still grows.
  if (last?.map && last.map[1] >= lines) last.content = mendInline(last.content);
});

/** Returns the tokens of Markdown. Block tokens have their lines in `map`. */
export function lex(source: string, options: LexOptions): Lexed {
  const lexing = new Lexing(options);
  const env: Env = { agentnb: lexing, references: lexing.references };
  const state = new md.core.State(source, md, env);
  md.core.process(state);
  return { tokens: state.tokens, defined: lexing.defined, missed: lexing.missed };
}
