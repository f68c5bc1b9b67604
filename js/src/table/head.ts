// The head of a sortable table.

import { html } from "../view/html.js";
import { icon } from "../view/icons.js";

export interface Heading<Name extends string> {
  name: Name;
  text: string;
  /** Whether the first click sorts in descending order. */
  down: boolean;
  class: string;
}

/** A row of headings with a button each; `order` is a column, with "-" before it for descending. */
export class SortHead<Name extends string> {
  readonly element: HTMLElement;
  readonly #cells = new Map<Name, HTMLElement>();
  #order = "";

  constructor(headings: readonly Heading<Name>[], sort: (order: string) => void) {
    const cells = headings.map(({ name, text, down, class: className }) => {
      const button = html(
        "button",
        { type: "button", class: "agentnb-sort" },
        html("span", { class: "agentnb-word" }, text),
        icon("end"),
      );
      button.addEventListener("click", () => {
        const turned = this.#order === name ? `-${name}` : name;
        sort(this.#name === name ? turned : down ? `-${name}` : name);
      });
      const cell = html("th", { scope: "col", class: className }, button);
      this.#cells.set(name, cell);
      return cell;
    });
    this.element = html("thead", {}, html("tr", {}, ...cells));
  }

  get #name(): string {
    return this.#order.replace(/^-/, "");
  }

  update(order: string): void {
    if (order === this.#order) return;
    this.#cells.get(this.#name as Name)?.removeAttribute("aria-sort");
    this.#order = order;
    const way = order.startsWith("-") ? "descending" : "ascending";
    this.#cells.get(this.#name as Name)?.setAttribute("aria-sort", way);
  }
}
