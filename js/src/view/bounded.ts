// Long text in a box: its beginning, and more on request.

import { mount } from "../markdown/dom.js";
import { textNodes } from "../markdown/texts.js";
import { count } from "./format.js";
import { html, setText, show } from "./html.js";

const FIRST = 4000;
const STEP = 100_000;

export class BoundedText {
  readonly element: HTMLElement;
  readonly #pre: HTMLPreElement;
  readonly #more: HTMLButtonElement;
  readonly #elsewhere = restNote();
  readonly #name: string;
  #text = "";
  #shown = 0;
  #limit = FIRST;
  #rest = 0;

  /** `name` is the accessible name of the text. */
  constructor(name: string) {
    this.#name = name;
    this.#pre = html("pre", { class: "agentnb-data", tabindex: "0", "aria-label": name });
    this.#more = html("button", { type: "button", class: "agentnb-button agentnb-more" });
    this.#more.addEventListener("click", () => {
      this.#limit += STEP;
      this.#draw();
    });
    this.element = html(
      "div",
      { class: "agentnb-bounded" },
      this.#pre,
      this.#more,
      this.#elsewhere,
    );
  }

  /**
   * Displays this text; if it continues the current one, only the rest is added. `rest` is the
   * number of further characters, in the place named `where`.
   */
  update(text: string, rest = 0, where = ""): void {
    tellRest(this.#elsewhere, rest, where);
    if (text === this.#text && rest === this.#rest && this.#shown > 0) return;
    this.#rest = rest;
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
      const all = count(this.#text.length + this.#rest);
      const label =
        rest <= STEP && this.#rest === 0
          ? `Show all ${all} characters`
          : `Show ${count(Math.min(rest, STEP))} more of ${all} characters`;
      setText(this.#more, label);
      this.#more.setAttribute("aria-label", `${label} of ${this.#name.toLowerCase()}`);
    }
  }
}

/** A place for the note on text that is not in the page. */
export function restNote(): HTMLElement {
  return html("p", { class: "agentnb-rest", hidden: true });
}

/** Displays how many characters are not in the page, and where they are. */
export function tellRest(note: HTMLElement, rest: number, where: string): void {
  setText(note, rest > 0 ? `${count(rest)} more characters; whole in ${where}` : "");
  show(note, rest > 0);
}

/** The limit, or one less where it would split a character. */
function boundary(text: string, limit: number): number {
  if (limit >= text.length) return text.length;
  const code = text.charCodeAt(limit - 1);
  return code >= 0xd800 && code <= 0xdbff ? limit - 1 : limit;
}
