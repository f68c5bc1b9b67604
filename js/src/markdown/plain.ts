// Text that is too long to be read as Markdown, shown as it is.

import { patch, type TreeNode } from "./dom.js";
import { textNodes } from "./texts.js";

/** A block ends at the first line's end beyond the one, or at the other. */
const BLOCK = 8_000;
const BLOCK_LIMIT = 10_000;

/** Shows text that grows, in blocks: what is in a block that is full is never laid out again. */
export class PlainText {
  readonly #parent: HTMLElement;
  #block: HTMLElement | null = null;
  #text = "";
  #shown: TreeNode[] = [];

  constructor(parent: HTMLElement) {
    this.#parent = parent;
  }

  append(text: string): void {
    this.#text += text;
    for (let end = cut(this.#text); end > 0; end = cut(this.#text)) {
      this.#show(this.#text.slice(0, end));
      this.#text = this.#text.slice(end);
      this.#block = null;
      this.#shown = [];
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
    patch(this.#block, this.#shown, nodes);
    this.#shown = nodes;
  }
}

/** Where the first block of a text ends, or 0 where it isn't full. */
function cut(text: string): number {
  const line = text.length < BLOCK ? -1 : text.indexOf("\n", BLOCK);
  if (line >= 0 && line < BLOCK_LIMIT) return line + 1;
  if (text.length <= BLOCK_LIMIT) return 0;
  const code = text.charCodeAt(BLOCK_LIMIT - 1);
  return code >= 0xd800 && code <= 0xdbff ? BLOCK_LIMIT - 1 : BLOCK_LIMIT;
}
