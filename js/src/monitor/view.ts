// View of the watched runs: counts by status, and a row for each.

import { visibleText } from "../markdown/visible.js";
import { isFinal } from "../protocol.js";
import { scroller } from "../table/scroller.js";
import { Clock } from "../view/clock.js";
import { handingOver } from "../view/focus.js";
import { html, setText, show } from "../view/html.js";
import { keepKeys } from "../view/keys.js";
import { WatchedView } from "./row.js";
import type { MonitorSession } from "./session.js";
import { asking, counts } from "./words.js";

const HEADINGS = [
  ["Status", "agentnb-status"],
  ["Run", "agentnb-monitor-name"],
  ["Time", "agentnb-monitor-figure"],
  ["Tokens", "agentnb-monitor-figure agentnb-monitor-tokens"],
] as const;
const LOST =
  "Not live: the kernel that watched these runs is gone. This is how they stood when it was last heard.";
const SILENT = "No word from the kernel for a while: it may be busy, or it was restarted.";

export class MonitorView {
  readonly element: HTMLElement;
  readonly #session: MonitorSession;
  readonly #counts = html("span", { class: "agentnb-monitor-counts", role: "status" });
  readonly #asking = html("span", { class: "agentnb-monitor-asking" });
  readonly #hint = html("p", { class: "agentnb-monitor-hint", role: "status" });
  readonly #body = html("tbody");
  readonly #table: HTMLElement;
  readonly #clock: Clock;
  readonly #unsubscribe: () => void;
  readonly #handOver: () => void;
  readonly #views = new Map<string, WatchedView>();

  constructor(session: MonitorSession) {
    this.#session = session;
    const head = HEADINGS.map(([text, name]) =>
      html("th", { scope: "col", class: name }, html("span", { class: "agentnb-word" }, text)),
    );
    const actions = html("td", { class: "agentnb-monitor-action" });
    this.#table = scroller(
      "Watched runs",
      html(
        "table",
        {},
        html("caption", { class: "agentnb-said" }, "Watched runs"),
        html("thead", {}, html("tr", {}, ...head, actions)),
        this.#body,
      ),
    );
    this.element = html(
      "div",
      { class: "agentnb agentnb-monitor", role: "group", "aria-label": "Monitor of runs" },
      html("div", { class: "agentnb-monitor-head" }, this.#counts, this.#asking),
      this.#hint,
      this.#table,
    );
    keepKeys(this.element);
    this.#handOver = handingOver(this.element);
    this.#clock = new Clock(this.element, () => this.#tick());
    this.#unsubscribe = session.subscribe(() => this.#update());
    this.#update();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#clock.dispose();
    this.#handOver();
    this.element.remove();
  }

  #update(): void {
    const { rows, watching, lost, silent, over } = this.#session;
    setText(this.#counts, counts(rows.map(({ status }) => status)));
    const hint = lost ? LOST : silent ? SILENT : visibleText(watching.error ?? "");
    setText(this.#hint, hint);
    show(this.#hint, hint !== "");
    const keys = new Set(rows.map(({ key }) => key));
    for (const [key, view] of this.#views) {
      if (keys.has(key)) continue;
      view.element.remove();
      this.#views.delete(key);
    }
    for (const row of rows) {
      let view = this.#views.get(row.key);
      if (!view) {
        view = new WatchedView(this.#session, row);
        this.#views.set(row.key, view);
        this.#body.append(view.element);
      }
      view.update(row);
    }
    show(this.#table, rows.length > 0);
    this.element.dataset.lost = String(lost);
    this.#tick();
    this.#clock.want(!over && !lost);
  }

  #tick(): void {
    const { rows, watching, asked, lost } = this.#session;
    const ended = rows.every(({ status }) => isFinal(status));
    setText(this.#asking, lost ? "" : asking(watching, asked, ended));
    for (const view of this.#views.values()) view.tick();
  }
}
