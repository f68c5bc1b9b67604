// Markdown rendered as it arrives.
//
// Only the tail of the text is lexed again. Text before the last block, or before the last item, row
// or line of an open list, table or code fence, can't change any more: it is settled, and its DOM is
// not touched. The exception is a later link reference definition: passages that refer to it are
// remembered and patched when it arrives.
//
// The final DOM is independent of how the text was split.

import type { Token } from "markdown-it";
import { type ElementNode, patch, type TreeNode } from "./dom.js";
import { type Definition, lex } from "./lexer.js";
import { settledLength } from "./mend.js";
import { type Drawn, hasParagraphs, type Open, showLoose, skipped, type Waiting } from "./open.js";
import { doneLength, readPart, STUB } from "./paragraph.js";
import { EMPTY, filledBy, tailNodes, takeCode } from "./pieces.js";
import { PlainText } from "./plain.js";
import {
  bodyOf,
  cutInside,
  doneBlocks,
  holderOf,
  isLoose,
  type Kind,
  kindOf,
  lineStarts,
  looseUpTo,
  prefixOf,
} from "./settle.js";
import { splitKept, takeShown } from "./taken.js";
import { type Block, buildTree, topBlocks } from "./tree.js";

/** Text beyond this many characters is displayed as plain text, to keep the page responsive. */
export const MARKDOWN_LIMIT = 500_000;

export class MarkdownStream {
  readonly element: HTMLElement;
  readonly #known = new Map<string, Definition>();
  readonly #waiting = new Map<string, Set<Waiting>>();
  #tail = "";
  #length = 0;
  #carriageReturn = false;
  #beyond = "";
  #plain: PlainText | null = null;
  #open: Open | null = null;
  /** The displayed nodes of the tail, after the open block. */
  #shown: TreeNode[] = [];
  #finished = false;
  #dirty = false;
  #resting = false;

  readonly #onCode: ((block: HTMLElement) => void) | undefined;

  /** `onCode` is called with every code block once it can't change any more. */
  constructor(element: HTMLElement, onCode?: (block: HTMLElement) => void) {
    this.element = element;
    this.#onCode = onCode;
  }

  /** Append text; `draw` displays it. */
  append(text: string): void {
    if (text === "" || this.#finished) return;
    this.#dirty = true;
    // A carriage return ends a line, alone or with the line feed that may follow.
    let lines = this.#carriageReturn ? `\r${text}` : text;
    this.#carriageReturn = lines.endsWith("\r");
    if (this.#carriageReturn) lines = lines.slice(0, -1);
    this.#take(lines.includes("\r") ? lines.replace(/\r\n?/g, "\n") : lines);
  }

  /** Display the appended text. `resting`: no more text is expected, though it may come. */
  draw(resting = false): void {
    if (this.#finished || !(this.#dirty || resting !== this.#resting)) return;
    this.#dirty = false;
    this.#resting = resting;
    if (this.#length > MARKDOWN_LIMIT) this.#overflow();
    else if (resting) this.#render(true);
    else this.#settle(this.#render(false));
  }

  /** Complete the text and display all of it. */
  finish(): void {
    if (this.#finished) return;
    if (this.#carriageReturn) this.#take("\n");
    this.#carriageReturn = false;
    this.#finish();
    this.#overflow();
    this.#finished = true;
  }

  #take(text: string): void {
    const room = Math.max(0, MARKDOWN_LIMIT - this.#length);
    this.#length += text.length;
    if (room >= text.length) {
      this.#tail += text;
    } else {
      this.#tail += text.slice(0, room);
      this.#beyond += text.slice(room);
    }
  }

  #overflow(): void {
    if (this.#beyond === "") return;
    if (!this.#plain) {
      this.#finish();
      this.#plain = new PlainText(this.element);
    }
    this.#plain.append(this.#beyond);
    this.#beyond = "";
  }

  #finish(): void {
    if (this.#plain || this.#finished) return;
    const drawn = this.#render(true);
    this.#closeOpen(drawn);
    this.#define(drawn.lexed.defined);
    this.#tellCode(this.#shown);
    this.#tail = "";
    this.#shown = [];
  }

  #render(final: boolean): Drawn {
    const open = this.#open;
    const all = (open?.prefix ?? "") + this.#tail;
    const paragraph = open?.kind === "paragraph";
    let source = all;
    if (!final) {
      // A paragraph's line must be checked together with the text before it.
      const from = open && !paragraph ? open.prefix.length : 0;
      source = all.slice(0, from + settledLength(all.slice(from), open === null || paragraph));
    }
    const lexed = lex(source, { known: this.#known, final });
    const blocks = topBlocks(lexed.tokens);
    if (open && paragraph && blocks[0]?.type !== "paragraph_open") {
      // Its next line made it a heading or a table: render it again.
      this.#tail = open.source + this.#tail;
      open.body.remove();
      this.#open = null;
      return this.#render(final);
    }
    const trees = blocks.map((block) => buildTree(block.tokens));
    if (open) {
      const tree = trees[0]?.[0];
      const rest = tree && "tag" in tree ? this.#rest(open, tree, blocks[0]) : [];
      patch(open.body, open.shown, rest);
      open.shown = rest;
      if (tree && "tag" in tree) showLoose(open, open.loose || isLoose(tree));
    }
    const rest = trees.slice(open ? 1 : 0).flat();
    patch(this.element, this.#shown, rest);
    this.#shown = rest;
    return { source, lines: lineStarts(source), blocks, trees, lexed };
  }

  /** Remove from the tail what can't change any more. */
  #settle(drawn: Drawn): void {
    const { lines, blocks, trees } = drawn;
    // The source's last line is incomplete: the next character may change its meaning.
    const whole = lines.length - 1;
    const first = doneBlocks(drawn.source, lines, blocks);
    const prefix = this.#open?.prefix.length ?? 0;
    if (first > 0) {
      const start = blocks[first]?.start ?? blocks[first - 1]?.end ?? 0;
      const opened = this.#open ? 1 : 0;
      const from = lines[blocks[opened]?.start ?? 0] ?? 0;
      const done = trees.slice(opened, first).flat();
      const source = drawn.source.slice(from, lines[start]);
      this.#wait(drawn, { source, pick: (all) => all, parent: this.element, nodes: done });
      this.#closeOpen(drawn);
      this.#tellCode(done);
      this.#shown = this.#shown.slice(done.length);
      this.#tail = this.#tail.slice((lines[start] ?? 0) - prefix);
      this.#defineFrom(
        drawn,
        blocks.slice(0, first).flatMap((block) => block.tokens),
      );
    }
    const block = blocks[first];
    if (block && first === blocks.length - 1) {
      // After blocks were removed, the lines in `drawn` still count from the start of its source.
      const taken = first > 0 ? (lines[block.start] ?? 0) : prefix;
      this.#settleInside(drawn, block, trees[first]?.[0], taken, whole);
    }
  }

  /** Remove settled items, rows or lines of the last block from the tail. */
  #settleInside(
    drawn: Drawn,
    block: Block,
    tree: TreeNode | undefined,
    taken: number,
    whole: number,
  ): void {
    const kind = kindOf(block);
    if (!kind || !tree || !("tag" in tree)) return;
    if (kind === "paragraph") {
      this.#settleParagraph(drawn, block, tree, taken);
      return;
    }
    const cut = cutInside(kind, block, whole);
    if (!cut) return;
    const { shown, filled } = this.#open ?? { shown: bodyOf(kind, tree, false), filled: EMPTY };
    if (kind === "fence" && !takeCode(shown, cut.text, filled)) return;
    const { source, lines } = drawn;
    const start = lines[block.start] ?? 0;
    const end = lines[cut.line] ?? source.length;
    const newly = this.#open === null;
    const skip = this.#open ? skipped(this.#open) : 0;
    const open = this.#open ?? this.#openBlock(kind, tree);
    if (!open) return;
    if (kind === "list") {
      open.loose = open.loose || looseUpTo(source.slice(start, end), block, tree);
      open.paragraphs ||= hasParagraphs(open.shown.slice(0, cut.count - skip));
    }
    if (kind === "fence") {
      open.filled = filledBy(cut.text, filled);
    } else {
      const nodes = open.shown.splice(0, cut.count - skip);
      const pick = children(kind, skip, nodes.length);
      this.#wait(drawn, { source: source.slice(start, end), pick, parent: open.body, nodes });
      this.#tellCode(nodes);
    }
    open.prefix = prefixOf(kind, block, source.slice(start, end));
    const head = kind === "table" && newly ? tree.children.slice(0, 1) : [];
    if (tree.dom)
      this.#wait(drawn, { source: open.prefix, pick: headOf, parent: tree.dom, nodes: head });
    this.#tail = this.#tail.slice(end - taken);
    this.#defineFrom(
      drawn,
      block.tokens.filter((token) => token.map && token.map[1] <= cut.line),
    );
  }

  /** Remove the settled part of a paragraph from the tail. */
  #settleParagraph(drawn: Drawn, block: Block, tree: ElementNode, taken: number): void {
    const begun = this.#open !== null;
    const start = begun ? STUB.length : (drawn.lines[block.start] ?? 0);
    const text = drawn.source.slice(start, drawn.lines[block.end]);
    const source = text.slice(0, doneLength(text, begun));
    const part = source && readPart(source, begun, this.#known);
    const shown = this.#open?.shown ?? tree.children;
    if (!part || !takeShown(shown, part.nodes, part.missed.size > 0)) return;
    const open = this.#open ?? this.#openBlock("paragraph", tree);
    if (!open) return;
    open.prefix = STUB;
    open.source += source;
    this.#tail = this.#tail.slice(start - taken + source.length);
    if (part.missed.size === 0) return;
    open.waits = true;
    const stub = begun ? STUB : "";
    const pick = ([made]: TreeNode[]) =>
      made && "tag" in made ? bodyOf("paragraph", made, begun) : [];
    const waiting = { source: stub + source, pick, parent: open.body, nodes: part.nodes };
    this.#enlist(waiting, part.missed);
  }

  /** Return the nodes of the tail that belong to an open block. */
  #rest(open: Open, tree: ElementNode, block: Block | undefined): TreeNode[] {
    if (open.kind === "fence") return tailNodes(block?.tokens[0]?.content ?? "", open.filled);
    return bodyOf(open.kind, tree, true).slice(skipped(open));
  }

  #openBlock(kind: Kind, node: ElementNode): Open | null {
    const shown = bodyOf(kind, node, false);
    const body = holderOf(kind, node)?.dom;
    if (!body) return null;
    this.#shown = this.#shown.slice(1);
    const state = { loose: false, paragraphs: false, source: "", waits: false, filled: EMPTY };
    this.#open = { kind, prefix: "", node, body, shown, ...state };
    return this.#open;
  }

  #closeOpen(drawn: Drawn): void {
    const open = this.#open;
    if (!open) return;
    const block = drawn.blocks[0];
    const tree = drawn.trees[0]?.[0];
    const waits = open.waits || drawn.lexed.missed.size > 0;
    if (open.kind === "fence" || (open.kind === "paragraph" && !waits)) open.body.normalize();
    if (open.kind !== "fence" && block && tree && "tag" in tree) {
      const source = drawn.source.slice(0, drawn.lines[block.end]);
      if (open.kind === "list") {
        // Blank lines after the last item are not inside the list.
        showLoose(open, open.loose || looseUpTo(source.trimEnd(), block, tree));
      }
      const { kind, body: parent, shown: nodes } = open;
      if (waits) splitKept(nodes);
      this.#wait(drawn, {
        source,
        // All nodes of a paragraph: a definition splits a text into several nodes.
        pick: children(kind, skipped(open), kind === "paragraph" ? Infinity : nodes.length),
        parent,
        nodes,
      });
    }
    this.#tellCode(open.kind === "fence" ? [open.node] : open.shown);
    this.#open = null;
  }

  #tellCode(nodes: readonly TreeNode[]): void {
    if (!this.#onCode) return;
    for (const node of nodes) {
      if (!("tag" in node)) continue;
      if (node.tag === "pre" && node.dom) this.#onCode(node.dom);
      else this.#tellCode(node.children);
    }
  }

  /** Remember nodes that must be built again once a definition arrives. */
  #wait(drawn: Drawn, waiting: Waiting): void {
    const { missed } = drawn.lexed;
    if (missed.size === 0 || waiting.nodes.length === 0) return;
    // The definition may have been found in the meantime, in the blocks before.
    if ([...missed].some((label) => this.#known.has(label))) this.#redo(waiting);
    else this.#enlist(waiting, missed);
  }

  #enlist(waiting: Waiting, labels: ReadonlySet<string>): void {
    for (const label of labels) {
      const list = this.#waiting.get(label);
      if (list) list.add(waiting);
      else this.#waiting.set(label, new Set([waiting]));
    }
  }

  #defineFrom(drawn: Drawn, tokens: readonly Token[]): void {
    if (drawn.lexed.defined.size === 0) return;
    const found = new Map<string, Definition>();
    for (const token of tokens) {
      const label = token.type === "reference_definition" ? String(token.meta?.label) : "";
      const definition = drawn.lexed.defined.get(label);
      if (definition) found.set(label, definition);
    }
    this.#define(found);
  }

  #define(found: ReadonlyMap<string, Definition>): void {
    const stale = new Set<Waiting>();
    for (const [label, definition] of found) {
      if (this.#known.has(label)) continue;
      this.#known.set(label, definition);
      for (const waiting of this.#waiting.get(label) ?? []) stale.add(waiting);
      this.#waiting.delete(label);
    }
    for (const waiting of stale) this.#redo(waiting);
  }

  #redo(waiting: Waiting): void {
    const lexed = lex(waiting.source, { known: this.#known, final: true });
    const nodes = waiting.pick(buildTree(lexed.tokens));
    const last = waiting.nodes[waiting.nodes.length - 1];
    patch(waiting.parent, waiting.nodes, nodes, last?.dom?.nextSibling ?? null);
    waiting.nodes = nodes;
    this.#enlist(waiting, lexed.missed);
  }
}

/** Return a function that selects items or rows of a text's first block. */
function children(kind: Kind, from: number, count: number): (trees: TreeNode[]) => TreeNode[] {
  return ([tree]) =>
    tree && "tag" in tree ? bodyOf(kind, tree, true).slice(from, from + count) : [];
}

function headOf([tree]: TreeNode[]): TreeNode[] {
  return tree && "tag" in tree ? tree.children.slice(0, 1) : [];
}
