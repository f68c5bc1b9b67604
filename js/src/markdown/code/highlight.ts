// Colours for code blocks that are finished, put on while the page has nothing better to do.

import { readerOf } from "./languages.js";

/** Longer blocks stay as they are: their colours would cost more than they tell. */
export const HIGHLIGHT_LIMIT = 30_000;
/** So many coloured words in one block; what comes after them stays as it is. */
export const MAX_COLOURED = 6000;
/** What a slice of idle time may take where the browser doesn't say (ms). */
const SLICE_MS = 8;
const LATER_MS = 50;

/** Makes the contents of a code block; null where it has no colours. */
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

/** Puts colours on the blocks that it is given, a few in each slice of idle time. */
export class Highlighter {
  #queue: HTMLElement[] = [];
  #cancel: (() => void) | null = null;
  readonly #onSelection = () => this.#later();

  /** Takes a finished block: a `pre` whose only code is its own. */
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
  // Characters that are shown by their numbers are elements: such code is no language's.
  if (!code || code.querySelector(".agentnb-hidden")) return;
  const made = colour(code.textContent ?? "", block.dataset.lang ?? "");
  if (!made) return;
  // The same text in other clothes: not to be read out again.
  code.setAttribute("aria-live", "off");
  code.replaceChildren(made);
}

/** Tells whether a reader has selected something of this: making it anew would let go of it. */
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
