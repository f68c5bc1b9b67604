// Scrollable container of a table.

import { html } from "../view/html.js";

/** Wrap a table in a scrollable region, focusable for keyboard users. */
export function scroller(label: string, table: HTMLElement): HTMLElement {
  return html(
    "div",
    { class: "agentnb-table", role: "region", "aria-label": label, tabindex: 0 },
    table,
  );
}
