// Markdown that is drawn while it arrives.
//
// Only the tail of the text is lexed again. What stands before the last block, or before the last
// item, row or line of a list, table or code fence that is still open, can't change any more, and
// its DOM is left alone. (But for link reference definitions that come later: passages that looked
// for one are kept in mind, and patched when it arrives.)
//
// However the text was cut, the DOM at the end is that of the text drawn at once.

import type { Token } from "markdown-it";
import { type ElementNode, patch, type TreeNode } from "./dom.js";
import { type Definition, type Lexed, lex } from "./lexer.js";
import { settledLength } from "./mend.js";
import { PlainText } from "./plain.js";
import {
  bodyOf,
  cutInside,
  doneBlocks,
  isLoose,
  type Kind,
  kindOf,
  lineStarts,
  looseUpTo,
  prefixOf,
} from "./settle.js";
import { type Block, buildTree, topBlocks } from "./tree.js";

/** Text beyond this many characters isn't read as Markdown: that would hold up the page. */
export const MARKDOWN_LIMIT = 500_000;

/** A block whose first items, rows or lines are done and no longer part of the tail. */
interface Open {
  kind: Kind;
  /** What must stand before the tail for it to be lexed as the rest of this block. */
  prefix: string;
  node: ElementNode;
  /** The element that items, rows or lines are added to. */
  body: HTMLElement;
  /** What the body shows of the tail. */
  shown: TreeNode[];
  /** Of a list: whether its done part is loose, and has paragraphs for which that matters. */
  loose: boolean;
  paragraphs: boolean;
}

/** Done text that looked for definitions that weren't there yet. */
interface Waiting {
  source: string;
  /** Finds the nodes again in what the source shows when it is read once more. */
  pick: (trees: TreeNode[]) => TreeNode[];
  parent: Node;
  nodes: TreeNode[];
}

/** What one drawing made of prefix and tail. */
interface Drawn {
  source: string;
  /** Where each line of the source starts. */
  lines: number[];
  blocks: Block[];
  /** For each block what it shows; nothing for definitions. */
  trees: TreeNode[][];
  lexed: Lexed;
}

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
  /** What the element shows of the tail, after the open block. */
  #shown: TreeNode[] = [];
  #finished = false;
  #dirty = false;
  #resting = false;

  constructor(element: HTMLElement) {
    this.element = element;
  }

  /** Adds text at the end; `draw` shows it. */
  append(text: string): void {
    if (text === "" || this.#finished) return;
    this.#dirty = true;
    // A carriage return is a line's end, alone or with the line feed that may come next.
    let lines = this.#carriageReturn ? `\r${text}` : text;
    this.#carriageReturn = lines.endsWith("\r");
    if (this.#carriageReturn) lines = lines.slice(0, -1);
    this.#take(lines.includes("\r") ? lines.replace(/\r\n?/g, "\n") : lines);
  }

  /** Shows what was appended. `resting` says that nothing more is expected, though it may come. */
  draw(resting = false): void {
    if (this.#finished || !(this.#dirty || resting !== this.#resting)) return;
    this.#dirty = false;
    this.#resting = resting;
    if (this.#length > MARKDOWN_LIMIT) this.#overflow();
    else if (resting) this.#render(true);
    else this.#settle(this.#render(false));
  }

  /** Says that no more text comes, and shows all of it. */
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
    this.#tail = "";
    this.#shown = [];
  }

  #render(final: boolean): Drawn {
    const open = this.#open;
    const tail = final ? this.#tail : this.#tail.slice(0, settledLength(this.#tail, open === null));
    const source = (open?.prefix ?? "") + tail;
    const lexed = lex(source, { known: this.#known, final });
    const blocks = topBlocks(lexed.tokens);
    const trees = blocks.map((block) => buildTree(block.tokens));
    if (open) {
      const tree = trees[0]?.[0];
      const rest = tree && "tag" in tree ? bodyOf(open.kind, tree).slice(skipped(open)) : [];
      patch(open.body, open.shown, rest);
      open.shown = rest;
      if (tree && "tag" in tree) showLoose(open, open.loose || isLoose(tree));
    }
    const rest = trees.slice(open ? 1 : 0).flat();
    patch(this.element, this.#shown, rest);
    this.#shown = rest;
    return { source, lines: lineStarts(source), blocks, trees, lexed };
  }

  /** Takes out of the tail what can't change any more. */
  #settle(drawn: Drawn): void {
    const { lines, blocks, trees } = drawn;
    // The source's last line isn't whole: one more character may make it something else.
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
      this.#shown = this.#shown.slice(done.length);
      this.#tail = this.#tail.slice((lines[start] ?? 0) - prefix);
      this.#defineFrom(
        drawn,
        blocks.slice(0, first).flatMap((block) => block.tokens),
      );
    }
    const block = blocks[first];
    if (block && first === blocks.length - 1) {
      // Once blocks were taken, the lines in `drawn` still count from where its source began.
      const taken = first > 0 ? (lines[block.start] ?? 0) : prefix;
      this.#settleInside(drawn, block, trees[first]?.[0], taken, whole);
    }
  }

  /** Takes items, rows or lines that are done out of the block at the end. */
  #settleInside(
    drawn: Drawn,
    block: Block,
    tree: TreeNode | undefined,
    taken: number,
    whole: number,
  ): void {
    const kind = kindOf(block);
    if (!kind || !tree || !("tag" in tree)) return;
    const cut = cutInside(kind, block, whole);
    if (!cut) return;
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
      appendCode(open, cut.text);
    } else {
      const nodes = open.shown.splice(0, cut.count - skip);
      const pick = children(kind, skip, nodes.length);
      this.#wait(drawn, { source: source.slice(start, end), pick, parent: open.body, nodes });
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

  #openBlock(kind: Kind, node: ElementNode): Open | null {
    const shown = bodyOf(kind, node);
    const body = shown[0]?.dom?.parentElement;
    if (!body) return null;
    this.#shown = this.#shown.slice(1);
    this.#open = { kind, prefix: "", node, body, shown, loose: false, paragraphs: false };
    return this.#open;
  }

  #closeOpen(drawn: Drawn): void {
    const open = this.#open;
    if (!open) return;
    const block = drawn.blocks[0];
    const tree = drawn.trees[0]?.[0];
    if (open.kind === "fence") open.body.normalize();
    if (open.kind !== "fence" && block && tree && "tag" in tree) {
      const source = drawn.source.slice(0, drawn.lines[block.end]);
      if (open.kind === "list") {
        // Blank lines after the last item are not inside the list.
        showLoose(open, open.loose || looseUpTo(source.trimEnd(), block, tree));
      }
      const { kind, body: parent, shown: nodes } = open;
      this.#wait(drawn, {
        source,
        pick: children(kind, skipped(open), nodes.length),
        parent,
        nodes,
      });
    }
    this.#open = null;
  }

  /** Notes that these nodes may have to be made anew once a definition arrives. */
  #wait(drawn: Drawn, waiting: Waiting): void {
    const { missed } = drawn.lexed;
    if (missed.size === 0 || waiting.nodes.length === 0) return;
    // The definition may have been found since this was lexed: in the blocks before it.
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

/** Picks items or rows of the block that a text begins with. */
function children(kind: Kind, from: number, count: number): (trees: TreeNode[]) => TreeNode[] {
  return ([tree]) => (tree && "tag" in tree ? bodyOf(kind, tree).slice(from, from + count) : []);
}

function headOf([tree]: TreeNode[]): TreeNode[] {
  return tree && "tag" in tree ? tree.children.slice(0, 1) : [];
}

/** How many items the prefix brings along that are not part of the text. */
const skipped = (open: Open): number => (open.kind === "list" ? 1 : 0);

/** Loose or not only matters to a list that has paragraphs. */
function showLoose(open: Open, loose: boolean): void {
  if (open.kind !== "list") return;
  const matters = loose && (open.paragraphs || hasParagraphs(open.shown));
  if (matters) open.body.setAttribute("class", "agentnb-loose");
  else open.body.removeAttribute("class");
}

function hasParagraphs(items: readonly TreeNode[]): boolean {
  return items.some(
    (item) => "tag" in item && item.children.some((child) => "tag" in child && child.tag === "p"),
  );
}

/** Takes lines of code that are done out of what is shown of the tail. */
function appendCode(open: Open, done: readonly TreeNode[]): void {
  const [shown, ...others] = open.shown;
  const [first, ...further] = done;
  if (shown && !("tag" in shown) && shown.dom && first && others.length + further.length === 0) {
    // The common case, and the reason for this function: nothing but text, which only moves over.
    if (!("tag" in first) && shown.text.startsWith(first.text)) {
      lastText(open.body, shown.dom).appendData(first.text);
      shown.dom.deleteData(0, first.text.length);
      shown.text = shown.text.slice(first.text.length);
      return;
    }
  }
  patch(open.body, open.shown, []);
  open.shown = [];
  for (const node of done) {
    if ("tag" in node) patch(open.body, [], [node]);
    else lastText(open.body, null).appendData(node.text);
  }
}

/** The text right before a node, or an empty one that is put there. */
function lastText(parent: Node, before: Node | null): Text {
  const last = before ? before.previousSibling : parent.lastChild;
  if (last instanceof Text) return last;
  const made = document.createTextNode("");
  parent.insertBefore(made, before);
  return made;
}
