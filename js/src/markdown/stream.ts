// Markdown that is rendered while it arrives.
//
// Only the tail of the text is parsed again. Text before the last block, or before the last item,
// row or line of an open list, table or code fence cannot change any more, and its DOM is left
// alone. (Except for link definitions that come later: passages that wait for one are patched when
// it arrives.)
//
// The final DOM does not depend on how the text was split.

import type { Token } from "markdown-it";
import { settledLength } from "./autoclose.js";
import { type ElementNode, patch, type TreeNode } from "./dom.js";
import { type Definition, lex } from "./lexer.js";
import { type Drawn, hasParagraphs, type Open, showLoose, skipped, type Waiting } from "./open.js";
import { doneLength, readPart, STUB } from "./paragraph.js";
import { EMPTY, filledBy, tailNodes, takeCode } from "./pieces.js";
import { PlainText } from "./plain.js";
import { reuseElements, splitText } from "./reuse.js";
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
} from "./stable.js";
import { type Block, buildTree, topBlocks } from "./tree.js";

/** Longer text is not parsed as Markdown, which would block the page. */
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
  /** Content of the tail after the open block. */
  #rendered: TreeNode[] = [];
  #finished = false;
  #dirty = false;
  #resting = false;

  readonly #onCode: ((block: HTMLElement) => void) | undefined;

  /** `onCode` is called with every code block once it is final. */
  constructor(element: HTMLElement, onCode?: (block: HTMLElement) => void) {
    this.element = element;
    this.#onCode = onCode;
  }

  /** Appends text; `draw` renders it. */
  append(text: string): void {
    if (text === "" || this.#finished) return;
    this.#dirty = true;
    // A carriage return ends a line, alone or with a following line feed.
    let lines = this.#carriageReturn ? `\r${text}` : text;
    this.#carriageReturn = lines.endsWith("\r");
    if (this.#carriageReturn) lines = lines.slice(0, -1);
    this.#take(lines.includes("\r") ? lines.replace(/\r\n?/g, "\n") : lines);
  }

  /** Renders the appended text. `resting`: no more is expected for now. */
  draw(resting = false): void {
    if (this.#finished || !(this.#dirty || resting !== this.#resting)) return;
    this.#dirty = false;
    this.#resting = resting;
    if (this.#length > MARKDOWN_LIMIT) this.#overflow();
    else if (resting) this.#render(true);
    else this.#settle(this.#render(false));
  }

  /** Ends the text and renders all of it. */
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
    this.#notifyCode(this.#rendered);
    this.#tail = "";
    this.#rendered = [];
  }

  #render(final: boolean): Drawn {
    const open = this.#open;
    const all = (open?.prefix ?? "") + this.#tail;
    const paragraph = open?.kind === "paragraph";
    let source = all;
    if (!final) {
      // A line of a paragraph depends on the text before it.
      const from = open && !paragraph ? open.prefix.length : 0;
      source = all.slice(0, from + settledLength(all.slice(from), open === null || paragraph));
    }
    const lexed = lex(source, { known: this.#known, final });
    const blocks = topBlocks(lexed.tokens);
    if (open && paragraph && blocks[0]?.type !== "paragraph_open") {
      // The next line has made it a heading or a table: render it again.
      this.#tail = open.source + this.#tail;
      open.body.remove();
      this.#open = null;
      return this.#render(final);
    }
    const trees = blocks.map((block) => buildTree(block.tokens));
    if (open) {
      const tree = trees[0]?.[0];
      const rest = tree && "tag" in tree ? this.#rest(open, tree, blocks[0]) : [];
      patch(open.body, open.rendered, rest);
      open.rendered = rest;
      if (tree && "tag" in tree) showLoose(open, open.loose || isLoose(tree));
    }
    const rest = trees.slice(open ? 1 : 0).flat();
    patch(this.element, this.#rendered, rest);
    this.#rendered = rest;
    return { source, lines: lineStarts(source), blocks, trees, lexed };
  }

  /** Removes from the tail what cannot change any more. */
  #settle(drawn: Drawn): void {
    const { lines, blocks, trees } = drawn;
    // The last line is incomplete: one more character may change its meaning.
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
      this.#notifyCode(done);
      this.#rendered = this.#rendered.slice(done.length);
      this.#tail = this.#tail.slice((lines[start] ?? 0) - prefix);
      this.#defineFrom(
        drawn,
        blocks.slice(0, first).flatMap((block) => block.tokens),
      );
    }
    const block = blocks[first];
    if (block && first === blocks.length - 1) {
      // The line numbers in `drawn` still count from the beginning of its source.
      const taken = first > 0 ? (lines[block.start] ?? 0) : prefix;
      this.#settleInside(drawn, block, trees[first]?.[0], taken, whole);
    }
  }

  /** Removes finished items, rows or lines from the last block. */
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
    const { rendered, filled } = this.#open ?? {
      rendered: bodyOf(kind, tree, false),
      filled: EMPTY,
    };
    if (kind === "fence" && !takeCode(rendered, cut.text, filled)) return;
    const { source, lines } = drawn;
    const start = lines[block.start] ?? 0;
    const end = lines[cut.line] ?? source.length;
    const newly = this.#open === null;
    const skip = this.#open ? skipped(this.#open) : 0;
    const open = this.#open ?? this.#openBlock(kind, tree);
    if (!open) return;
    if (kind === "list") {
      open.loose = open.loose || looseUpTo(source.slice(start, end), block, tree);
      open.paragraphs ||= hasParagraphs(open.rendered.slice(0, cut.count - skip));
    }
    if (kind === "fence") {
      open.filled = filledBy(cut.text, filled);
    } else {
      const nodes = open.rendered.splice(0, cut.count - skip);
      const pick = children(kind, skip, nodes.length);
      this.#wait(drawn, { source: source.slice(start, end), pick, parent: open.body, nodes });
      this.#notifyCode(nodes);
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

  /** Removes the finished part of a paragraph. */
  #settleParagraph(drawn: Drawn, block: Block, tree: ElementNode, taken: number): void {
    const begun = this.#open !== null;
    const start = begun ? STUB.length : (drawn.lines[block.start] ?? 0);
    const text = drawn.source.slice(start, drawn.lines[block.end]);
    const source = text.slice(0, doneLength(text, begun));
    const part = source && readPart(source, begun, this.#known);
    const rendered = this.#open?.rendered ?? tree.children;
    if (!part || !reuseElements(rendered, part.nodes, part.missed.size > 0)) return;
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

  /** Content of the tail in an open block. */
  #rest(open: Open, tree: ElementNode, block: Block | undefined): TreeNode[] {
    if (open.kind === "fence") return tailNodes(block?.tokens[0]?.content ?? "", open.filled);
    return bodyOf(open.kind, tree, true).slice(skipped(open));
  }

  #openBlock(kind: Kind, node: ElementNode): Open | null {
    const rendered = bodyOf(kind, node, false);
    const body = holderOf(kind, node)?.dom;
    if (!body) return null;
    this.#rendered = this.#rendered.slice(1);
    const state = { loose: false, paragraphs: false, source: "", waits: false, filled: EMPTY };
    this.#open = { kind, prefix: "", node, body, rendered, ...state };
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
        // Blank lines after the last item are outside the list.
        showLoose(open, open.loose || looseUpTo(source.trimEnd(), block, tree));
      }
      const { kind, body: parent, rendered: nodes } = open;
      if (waits) splitText(nodes);
      this.#wait(drawn, {
        source,
        // All nodes of a paragraph, since a definition splits a text into several.
        pick: children(kind, skipped(open), kind === "paragraph" ? Infinity : nodes.length),
        parent,
        nodes,
      });
    }
    this.#notifyCode(open.kind === "fence" ? [open.node] : open.rendered);
    this.#open = null;
  }

  #notifyCode(nodes: readonly TreeNode[]): void {
    if (!this.#onCode) return;
    for (const node of nodes) {
      if (!("tag" in node)) continue;
      if (node.tag === "pre" && node.dom) this.#onCode(node.dom);
      else this.#notifyCode(node.children);
    }
  }

  /** Records nodes to be rendered again when a definition arrives. */
  #wait(drawn: Drawn, waiting: Waiting): void {
    const { missed } = drawn.lexed;
    if (missed.size === 0 || waiting.nodes.length === 0) return;
    // An earlier block may have defined it since this was parsed.
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

/** Selects items or rows of the first block of a text. */
function children(kind: Kind, from: number, count: number): (trees: TreeNode[]) => TreeNode[] {
  return ([tree]) =>
    tree && "tag" in tree ? bodyOf(kind, tree, true).slice(from, from + count) : [];
}

function headOf([tree]: TreeNode[]): TreeNode[] {
  return tree && "tag" in tree ? tree.children.slice(0, 1) : [];
}
