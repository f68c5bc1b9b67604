// Rows of the history.

import { visibleText } from "../markdown/visible.js";
import { putStatus } from "../table/status.js";
import { briefDuration, count, dollars } from "../view/format.js";
import { html } from "../view/html.js";
import { exactMoment, isoMoment, moment } from "../view/moment.js";
import type { Row } from "./protocol.js";

const NONE = "–";

export interface RowView {
  readonly key: string;
  readonly element: HTMLElement;
  readonly button: HTMLButtonElement;
}

/** A row with a button that opens the run in the element with the id `panel`. */
export function rowView(row: Row, panel: string): RowView {
  const { key, status, agent, platform, question, error } = row;
  const took = row.duration === null ? NONE : briefDuration(row.duration);
  const when = moment(row.started);
  const cell = (name: string, ...children: (Node | string)[]) =>
    html("td", { class: `agentnb-history-${name}` }, ...children);
  const statusCell = html("td", { class: "agentnb-status" });
  putStatus(statusCell, status);
  const button = html(
    "button",
    {
      type: "button",
      class: question ? "agentnb-history-question" : "agentnb-history-question agentnb-soft",
      dir: "auto",
      "aria-expanded": "false",
      "aria-controls": panel,
    },
    visibleText(question.trim()) || `Run ${visibleText(row.run_id ?? key)}`,
  );
  // Stopping a run is no error, and its status says so.
  const reason = error && status !== "cancelled" ? visibleText(error) : "";
  const name = html("th", { scope: "row", class: "agentnb-history-name" }, button);
  if (reason) name.append(html("div", { class: "agentnb-history-error", title: reason }, reason));
  // In a narrow column this line replaces the cells that do not fit.
  const brief = html("div", { class: "agentnb-history-brief" });
  const tell = (text: string, name = "") => {
    if (text && text !== NONE) brief.append(html("span", { class: name }, text));
  };
  const tokens = row.tokens === null ? NONE : count(row.tokens);
  const cost = row.cost === null ? NONE : dollars(row.cost);
  tell(visibleText(agent));
  tell(when, "agentnb-history-narrow");
  tell(took, "agentnb-history-narrow");
  tell(tokens === NONE ? NONE : `${tokens} tokens`);
  tell(cost);
  name.append(brief);
  const element = html(
    "tr",
    {},
    statusCell,
    name,
    cell(
      "agent",
      html("div", {}, visibleText(agent)),
      html("div", { class: "agentnb-soft" }, visibleText(platform)),
    ),
    cell(
      "when",
      html(
        "time",
        {
          datetime: isoMoment(row.started),
          title: exactMoment(row.started),
        },
        when,
      ),
    ),
    cell("figure", took),
    cell("figure", tokens),
    cell("figure", cost),
  );
  element.dataset.key = key;
  return { key, element, button };
}
