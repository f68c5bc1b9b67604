// Highlighting of finished code blocks in idle time.

import { readerOf } from "./languages.js";

/** Longer blocks are not highlighted. */
export const HIGHLIGHT_LIMIT = 30_000;
/** Maximum number of coloured tokens in a block; the rest stays plain. */
export const MAX_COLOURED = 6000;
/** Duration of a slice where the browser has no requestIdleCallback (ms). */
const SLICE_MS = 8;
const LATER_MS = 50;

/** Build the highlighted content of a code block; null for an unknown language or long text. */
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

/** Highlights queued blocks, a few in each idle period. */
export class Highlighter {
  #queue: HTMLElement[] = [];
  #cancel: (() => void) | null = null;
  readonly #onSelection = () => this.#later();

  /** Add a finished block: a `pre` element with a `code` element. */
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
  // Labels of invisible characters are elements, which highlighting would flatten.
  if (!code || code.querySelector(".agentnb-hidden")) return;
  const made = colour(code.textContent ?? "", block.dataset.lang ?? "");
  if (!made) return;
  // Same text with other markup: must not be announced again.
  code.setAttribute("aria-live", "off");
  code.replaceChildren(made);
}

/** Return whether the user has selected text in this block: replacing it would deselect it. */
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
