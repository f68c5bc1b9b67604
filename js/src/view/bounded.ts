// Long text in a box: its beginning, and more of it when asked.

import { mount } from "../markdown/dom.js";
import { textNodes } from "../markdown/tree.js";
import { count } from "./format.js";
import { html, setText, show } from "./html.js";

const FIRST = 4000;
const STEP = 100_000;

export class BoundedText {
  readonly element: HTMLElement;
  readonly #pre: HTMLPreElement;
  readonly #more: HTMLButtonElement;
  readonly #name: string;
  #text = "";
  #shown = 0;
  #limit = FIRST;

  /** `name` says what the text is, for people who don't see the heading above it. */
  constructor(name: string) {
    this.#name = name;
    this.#pre = html("pre", { class: "agentnb-data", tabindex: "0", "aria-label": name });
    this.#more = html("button", { type: "button", class: "agentnb-button agentnb-more" });
    this.#more.addEventListener("click", () => {
      this.#limit += STEP;
      this.#draw();
    });
    this.element = html("div", { class: "agentnb-bounded" }, this.#pre, this.#more);
  }

  /** Shows this text; where it goes on from what is shown, only the rest is added. */
  update(text: string): void {
    if (text === this.#text && this.#shown > 0) return;
    if (!text.startsWith(this.#text.slice(0, this.#shown))) {
      this.#pre.replaceChildren();
      this.#shown = 0;
    }
    this.#text = text;
    this.#draw();
  }

  #draw(): void {
    const end = boundary(this.#text, this.#limit);
    if (end > this.#shown) {
      const piece = this.#text.slice(this.#shown, end).replace(/\r\n?/g, "\n");
      for (const node of textNodes(piece)) this.#pre.append(mount(node));
      this.#shown = end;
    }
    const rest = this.#text.length - this.#shown;
    show(this.#more, rest > 0);
    if (rest > 0) {
      const all = count(this.#text.length);
      const label =
        rest <= STEP
          ? `Show all ${all} characters`
          : `Show ${count(STEP)} more of ${all} characters`;
      setText(this.#more, label);
      this.#more.setAttribute("aria-label", `${label} of ${this.#name.toLowerCase()}`);
    }
  }
}

/** The limit, or one less where it would cut a character in two. */
function boundary(text: string, limit: number): number {
  if (limit >= text.length) return text.length;
  const code = text.charCodeAt(limit - 1);
  return code >= 0xd800 && code <= 0xdbff ? limit - 1 : limit;
}
