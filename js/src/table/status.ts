// A run's status as a cell of a table.

import type { Status } from "../protocol.js";
import { html } from "../view/html.js";
import { icon } from "../view/icons.js";
import { STATUS_WORDS } from "../view/status.js";

/** Puts a status into a cell if it differs. */
export function putStatus(td: HTMLElement, status: Status): void {
  if (td.dataset.status === status) return;
  td.dataset.status = status;
  td.replaceChildren(icon(status), html("span", { class: "agentnb-word" }, STATUS_WORDS[status]));
}
