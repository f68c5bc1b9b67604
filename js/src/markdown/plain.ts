// Text that is too long for Markdown, rendered as plain text.

import { patch, type TreeNode } from "./dom.js";
import { textNodes } from "./texts.js";

/** A block ends at the first line break beyond the one limit, or at the other. */
const BLOCK = 8_000;
const BLOCK_LIMIT = 10_000;

/** Renders growing text in blocks, so that full ones are never laid out again. */
export class PlainText {
  readonly #parent: HTMLElement;
  #block: HTMLElement | null = null;
  #text = "";
  #rendered: TreeNode[] = [];

  constructor(parent: HTMLElement) {
    this.#parent = parent;
  }

  append(text: string): void {
    this.#text += text;
    for (let end = cut(this.#text); end > 0; end = cut(this.#text)) {
      this.#show(this.#text.slice(0, end));
      this.#text = this.#text.slice(end);
      this.#block = null;
      this.#rendered = [];
    }
    if (this.#text !== "") this.#show(this.#text);
  }

  #show(text: string): void {
    if (!this.#block) {
      this.#block = document.createElement("pre");
      this.#block.className = "agentnb-plain";
      this.#parent.append(this.#block);
    }
    const nodes = textNodes(text);
    patch(this.#block, this.#rendered, nodes);
    this.#rendered = nodes;
  }
}

/** End of the first block of a text, or 0 if it is not full. */
function cut(text: string): number {
  const line = text.length < BLOCK ? -1 : text.indexOf("\n", BLOCK);
  if (line >= 0 && line < BLOCK_LIMIT) return line + 1;
  if (text.length <= BLOCK_LIMIT) return 0;
  const code = text.charCodeAt(BLOCK_LIMIT - 1);
  return code >= 0xd800 && code <= 0xdbff ? BLOCK_LIMIT - 1 : BLOCK_LIMIT;
}
