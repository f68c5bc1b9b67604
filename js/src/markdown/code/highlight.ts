// Highlights finished code blocks while the page is idle.

import { readerOf } from "./languages.js";

/** Longer blocks are not highlighted: it would take too long. */
export const HIGHLIGHT_LIMIT = 30_000;
/** Maximum number of coloured tokens in one block. */
export const MAX_COLOURED = 6000;
/** Length of an idle slice if the browser does not report it (ms). */
const SLICE_MS = 8;
const LATER_MS = 50;

/** Returns the contents of a code block; null without colours. */
export function colour(text: string, language: string): DocumentFragment | null {
  const reader = text.length > HIGHLIGHT_LIMIT ? undefined : readerOf(language);
  if (!reader) return null;
  const made = document.createDocumentFragment();
  let left = MAX_COLOURED;
  let rest = "";
  for (const token of reader(text)) {
    if (left === 0) {
      rest += token.text;
      continue;
    }
    if (token.kind === null) {
      made.append(token.text);
      continue;
    }
    left -= 1;
    const span = document.createElement("span");
    span.className = `agentnb-c-${token.kind}`;
    span.textContent = token.text;
    made.append(span);
  }
  if (rest) made.append(rest);
  return made;
}

/** Highlights a queue of blocks, a few in each idle slice. */
export class Highlighter {
  #queue: HTMLElement[] = [];
  #cancel: (() => void) | null = null;
  readonly #onSelection = () => this.#later();

  /** Queues a finished block: a `pre` with one `code`. */
  add(block: HTMLElement): void {
    if (!readerOf(block.dataset.lang ?? "")) return;
    this.#queue.push(block);
    this.#later();
  }

  dispose(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#queue = [];
    document.removeEventListener("selectionchange", this.#onSelection);
  }

  #later(): void {
    if (this.#cancel || this.#queue.length === 0) return;
    this.#cancel = whenIdle((left) => {
      this.#cancel = null;
      this.#work(left);
    });
  }

  #work(left: () => number): void {
    const waiting: HTMLElement[] = [];
    let any = false;
    while (this.#queue.length > 0 && (!any || left() > 1)) {
      const block = this.#queue.shift();
      if (!block) continue;
      if (isSelected(block)) waiting.push(block);
      else {
        highlight(block);
        any = true;
      }
    }
    document.removeEventListener("selectionchange", this.#onSelection);
    if (this.#queue.length > 0) this.#later();
    this.#queue.push(...waiting);
    if (waiting.length > 0) document.addEventListener("selectionchange", this.#onSelection);
  }
}

function highlight(block: HTMLElement): void {
  const code = block.querySelector("code");
  // Code with escaped invisible characters, which are elements, is not highlighted.
  if (!code || code.querySelector(".agentnb-hidden")) return;
  const made = colour(code.textContent ?? "", block.dataset.lang ?? "");
  if (!made) return;
  // The text is the same, and must not be announced again.
  code.setAttribute("aria-live", "off");
  code.replaceChildren(made);
}

/** Returns whether the user has selected some of this, which replacing would deselect. */
function isSelected(block: HTMLElement): boolean {
  const root = block.getRootNode() as Node & { getSelection?: () => Selection | null };
  const selection = root.getSelection?.() ?? document.getSelection();
  if (!selection || selection.rangeCount === 0 || selection.isCollapsed) return false;
  return selection.getRangeAt(0).intersectsNode(block);
}

function whenIdle(run: (left: () => number) => void): () => void {
  if (typeof requestIdleCallback === "function") {
    const id = requestIdleCallback((deadline) => run(() => deadline.timeRemaining()), {
      timeout: 1000,
    });
    return () => cancelIdleCallback(id);
  }
  const id = setTimeout(() => {
    const end = performance.now() + SLICE_MS;
    run(() => end - performance.now());
  }, LATER_MS);
  return () => clearTimeout(id);
}
