// A table that may be wider or longer than its place.

import { html } from "../view/html.js";

/** Puts a table into a scrollable element, which must be reachable by keyboard. */
export function scroller(label: string, table: HTMLElement): HTMLElement {
  return html(
    "div",
    { class: "agentnb-table", role: "region", "aria-label": label, tabindex: 0 },
    table,
  );
}
