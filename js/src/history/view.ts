// View of the history: the query, the runs found, and the open one.

import { visibleText } from "../markdown/visible.js";
import { SortHead } from "../table/head.js";
import { scroller } from "../table/scroller.js";
import { announce } from "../view/copy.js";
import { focused, handingOver } from "../view/focus.js";
import { count } from "../view/format.js";
import { html, setText, show } from "../view/html.js";
import { icon } from "../view/icons.js";
import { keepKeys } from "../view/keys.js";
import { exactMoment, moment } from "../view/moment.js";
import { BarView } from "./bar.js";
import { PanelView } from "./panel.js";
import type { Listing } from "./protocol.js";
import { type RowView, rowView } from "./rows.js";
import type { HistorySession } from "./session.js";

const HEADINGS = [
  { name: "status", text: "Status", down: false, class: "agentnb-status" },
  { name: "question", text: "Question", down: false, class: "agentnb-history-name" },
  { name: "agent", text: "Agent", down: false, class: "agentnb-history-agent" },
  { name: "started_at", text: "When", down: true, class: "agentnb-history-when" },
  { name: "duration", text: "Duration", down: true, class: "agentnb-history-figure" },
  { name: "tokens", text: "Tokens", down: true, class: "agentnb-history-figure" },
  { name: "cost", text: "Cost", down: true, class: "agentnb-history-figure" },
] as const;
const GONE = "The kernel is gone. This is the list as it was; run the cell again to search it.";

let made = 0;

export class HistoryView {
  readonly element: HTMLElement;
  readonly #session: HistorySession;
  readonly #bar: BarView;
  readonly #head: SortHead<(typeof HEADINGS)[number]["name"]>;
  readonly #hint = html("p", { class: "agentnb-history-word", role: "status" });
  readonly #body = html("tbody");
  readonly #table: HTMLElement;
  readonly #scroller: HTMLElement;
  readonly #empty = html("p", { class: "agentnb-history-word" });
  readonly #clear = html("button", { type: "button", class: "agentnb-button" }, "Show all runs");
  readonly #count = html("span", { class: "agentnb-history-count" });
  readonly #previous = pageButton("previous", "Previous runs");
  readonly #next = pageButton("chevron", "Next runs");
  readonly #panel: PanelView;
  readonly #panelId: string;
  readonly #unsubscribe: () => void;
  readonly #handOver: () => void;
  #listing: Listing | null = null;
  #rows: RowView[] = [];

  constructor(session: HistorySession) {
    this.#session = session;
    made += 1;
    this.#panelId = `agentnb-history-panel-${made}`;
    this.#bar = new BarView(session);
    this.#panel = new PanelView(this.#panelId, () => this.#close());
    this.#head = new SortHead(HEADINGS, (order) => session.ask({ order }));
    const caption = html("caption", { class: "agentnb-said" }, "Runs");
    this.#table = html("table", {}, caption, this.#head.element, this.#body);
    this.#scroller = scroller("Runs", this.#table);
    this.#body.addEventListener("click", (event) => this.#click(event));
    this.#body.addEventListener("keydown", (event) => this.#walk(event));
    this.#clear.addEventListener("click", () => {
      this.#bar.focus();
      session.ask({ text: "", agent: "", status: "" });
    });
    this.#previous.addEventListener("click", () => this.#turn(-1));
    this.#next.addEventListener("click", () => this.#turn(1));
    this.element = html(
      "div",
      { class: "agentnb agentnb-history", role: "group", "aria-label": "History of runs" },
      this.#bar.element,
      this.#hint,
      this.#scroller,
      html("div", { class: "agentnb-history-empty" }, this.#empty, this.#clear),
      html("div", { class: "agentnb-history-foot" }, this.#count, this.#previous, this.#next),
      this.#panel.element,
    );
    keepKeys(this.element);
    this.#handOver = handingOver(this.element);
    this.#unsubscribe = session.subscribe(() => this.#update());
    this.#update();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#handOver();
    this.#panel.dispose();
    this.element.remove();
  }

  #update(): void {
    const { listing, asking, error, gone, hasState, query, opened } = this.#session;
    this.#bar.update();
    this.#head.update(query.order);
    this.element.dataset.asking = String(asking);
    this.#table.setAttribute("aria-busy", String(asking));
    const hint = gone ? GONE : visibleText(error ?? "");
    setText(this.#hint, hint);
    show(this.#hint, hint !== "");
    if (listing !== this.#listing) this.#draw(listing);
    show(this.#scroller, listing.rows.length > 0);
    this.#updateEmpty(hasState, asking);
    this.#updateCount();
    for (const { key, button, element } of this.#rows) {
      const here = String(opened?.key === key);
      if (button.getAttribute("aria-expanded") === here) continue;
      button.setAttribute("aria-expanded", here);
      element.dataset.open = here;
    }
    this.#panel.update(opened);
  }

  #draw(listing: Listing): void {
    const first = this.#listing === null;
    this.#listing = listing;
    const active = focused(this.#body);
    const held = this.#rows.find(({ button }) => button === active)?.key;
    this.#rows = listing.rows.map((row) => rowView(row, this.#panelId));
    this.#body.replaceChildren(...this.#rows.map(({ element }) => element));
    this.#scroller.scrollTop = 0;
    if (held !== undefined) {
      const same = this.#rows.find(({ key }) => key === held);
      (same?.button ?? this.#scroller).focus({ preventScroll: true });
    }
    if (!first) announce(this.#scroller, countText(this.#session));
  }

  #updateEmpty(hasState: boolean, asking: boolean): void {
    const { listing, filtered, error, since } = this.#session;
    const none = listing.rows.length === 0 && error === null;
    const text = !hasState || asking ? "Looking…" : filtered ? "No run matches." : noneYet(since);
    setText(this.#empty, text);
    show(this.#empty, none);
    const clear = none && !asking && filtered;
    if (!clear && this.#clear.contains(focused(this.#clear))) this.#bar.focus();
    show(this.#clear, clear);
  }

  #updateCount(): void {
    const { listing, limit, gone } = this.#session;
    const { offset } = listing.query;
    setText(this.#count, listing.rows.length > 0 ? countText(this.#session) : "");
    this.#count.title = listing.at ? `As of ${exactMoment(listing.at)}` : "";
    const beyond = listing.more || offset + listing.rows.length < listing.total;
    const several = offset > 0 || beyond || listing.total > limit;
    enable(this.#previous, !gone && offset > 0, several);
    enable(this.#next, !gone && beyond && listing.rows.length > 0, several);
  }

  #turn(way: number): void {
    const button = way < 0 ? this.#previous : this.#next;
    if (button.getAttribute("aria-disabled") === "true") return;
    const { listing, limit } = this.#session;
    this.#session.ask({ offset: Math.max(0, listing.query.offset + way * limit) });
  }

  #click(event: Event): void {
    const target = event.target instanceof Element ? event.target : null;
    const row = target?.closest<HTMLElement>("tr[data-key]");
    // Selecting text to copy should not open the run.
    const marked = String(this.#body.ownerDocument.getSelection?.() ?? "") !== "";
    if (!row?.dataset.key || (marked && !target?.closest("button"))) return;
    if (this.#session.opened?.key === row.dataset.key && !this.#session.opened.error) {
      this.#close();
      return;
    }
    this.#session.open(row.dataset.key);
    this.#panel.focus();
  }

  /** Arrow keys move from run to run. */
  #walk(event: KeyboardEvent): void {
    const way = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const at = this.#rows.findIndex(({ button }) => button === event.target);
    const next = way && at >= 0 ? this.#rows[at + way] : undefined;
    if (!next) return;
    event.preventDefault();
    next.button.focus();
  }

  #close(): void {
    const key = this.#session.opened?.key;
    const held = this.#panel.element.contains(focused(this.element));
    this.#session.close();
    if (!held) return;
    const row = this.#rows.find((each) => each.key === key);
    (row?.button ?? this.#scroller).focus();
  }
}

function countText({ listing, filtered, since }: HistorySession): string {
  const { rows, query, total, more } = listing;
  if (rows.length === 0) return filtered ? "No run matches." : "No runs.";
  const from = query.offset + 1;
  const last = query.offset + rows.length;
  const all = `${count(total)}${more ? "+" : ""}`;
  const which = from === 1 && last === total ? all : `${count(from)}–${count(last)} of ${all}`;
  const word = total === 1 ? "run" : "runs";
  return `${which} ${word}${since === null ? "" : ` since ${moment(since)}`}`;
}

function noneYet(since: number | null): string {
  return since === null ? "No runs yet." : `No runs since ${moment(since)}.`;
}

function pageButton(name: "previous" | "chevron", label: string): HTMLButtonElement {
  return html(
    "button",
    {
      type: "button",
      class: "agentnb-button agentnb-icon-button",
      title: label,
      "aria-label": label,
    },
    icon(name),
  );
}

/** A button without a further page keeps the focus, but does nothing. */
function enable(button: HTMLButtonElement, enabled: boolean, visible: boolean): void {
  button.setAttribute("aria-disabled", String(!enabled));
  show(button, visible);
}
