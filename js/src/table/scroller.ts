// A table that may be wider or longer than its place.

import { html } from "../view/html.js";

/** Puts a table where it may scroll; what may scroll must be within reach of the keyboard. */
export function scroller(label: string, table: HTMLElement): HTMLElement {
  return html(
    "div",
    { class: "agentnb-table", role: "region", "aria-label": label, tabindex: 0 },
    table,
  );
}
