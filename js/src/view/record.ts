// The recorded events of a run, requested from the kernel when they are opened.

import { visibleText } from "../markdown/visible.js";
import type { EventRecord, EventsPage } from "../protocol.js";
import { count } from "./format.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";

const PAGE = 200;
const DETAILS = 600;
const SILENT =
  "The kernel does not answer: it is busy, or it was restarted and no longer has the events.";

let made = 0;

export class RecordView {
  /** Opens and closes the list. */
  readonly button: HTMLButtonElement;
  readonly element: HTMLElement;
  readonly #ask: (offset: number) => Promise<EventsPage>;
  readonly #rows = html("tbody");
  readonly #table: HTMLElement;
  readonly #state = html("p", { class: "agentnb-record-state", role: "status" });
  readonly #more = html("button", { type: "button", class: "agentnb-button agentnb-more" });
  #shown = 0;
  #total = 0;
  #asking = false;
  #failed = false;
  #final = false;
  #gone = false;

  constructor(ask: (offset: number) => Promise<EventsPage>) {
    this.#ask = ask;
    made += 1;
    const id = `agentnb-record-${made}`;
    this.button = html(
      "button",
      {
        type: "button",
        class: "agentnb-button agentnb-record-button",
        "aria-expanded": "false",
        "aria-controls": id,
      },
      icon("chevron"),
      "Raw events",
    );
    this.button.addEventListener("click", () => this.#toggle());
    this.#more.addEventListener("click", () => void this.#load());
    const head = ["Time", "Type", "Details"].map((name) => html("th", { scope: "col" }, name));
    this.#table = html(
      "div",
      { class: "agentnb-record-table", tabindex: "0", role: "group", "aria-label": "Raw events" },
      html("table", {}, html("thead", {}, html("tr", {}, ...head)), this.#rows),
    );
    this.element = html(
      "div",
      { class: "agentnb-record", id, hidden: true },
      this.#table,
      this.#state,
      this.#more,
    );
  }

  update(final: boolean): void {
    if (this.#final === final) return;
    this.#final = final;
    if (!this.element.hidden) this.#draw();
  }

  dispose(): void {
    this.#gone = true;
  }

  #toggle(): void {
    const open = this.element.hidden !== false;
    show(this.element, open);
    this.button.setAttribute("aria-expanded", String(open));
    if (open && this.#shown === 0) void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#failed = false;
    this.#draw();
    try {
      const page = await this.#ask(this.#shown);
      if (page.offset === this.#shown) this.#add(page);
    } catch {
      this.#failed = true;
    }
    this.#asking = false;
    if (!this.#gone) this.#draw();
  }

  #add(page: EventsPage): void {
    this.#rows.append(...page.events.map(row));
    this.#shown += page.events.length;
    this.#total = page.total;
  }

  #draw(): void {
    const rest = Math.max(0, this.#total - this.#shown);
    show(this.#table, this.#shown > 0);
    setText(this.#state, this.#word(rest));
    show(this.#state, this.#state.textContent !== "");
    const next = count(Math.min(rest, PAGE));
    const label = this.#failed
      ? "Try again"
      : rest > 0
        ? `Show ${next} more of ${count(this.#total)} events`
        : "Look for more";
    setText(this.#more, label);
    this.#more.setAttribute("aria-disabled", String(this.#asking));
    show(this.#more, this.#failed || rest > 0 || (!this.#final && !this.#firstLoad()));
  }

  #word(rest: number): string {
    if (this.#failed) return SILENT;
    if (this.#asking) return "Asking the kernel…";
    if (this.#shown === 0) return "There are no events.";
    return rest > 0 ? "" : `${count(this.#shown)} events`;
  }

  #firstLoad(): boolean {
    return this.#asking && this.#shown === 0;
  }
}

function row({ at, type, ...details }: EventRecord): HTMLElement {
  const time = html("td", { class: "agentnb-record-time" }, `${at.toFixed(3)} s`);
  return html(
    "tr",
    {},
    time,
    html("td", {}, visibleText(type)),
    html("td", {}, html("code", {}, detailsText(details))),
  );
}

/** Other fields of an event as JSON on one line, truncated. */
function detailsText(details: Record<string, unknown>): string {
  const text = JSON.stringify(details, cutText);
  if (text === "{}") return "";
  return visibleText(text.length > DETAILS ? `${text.slice(0, DETAILS)}…` : text);
}

/** Truncated first, so that a long text is not serialized. */
function cutText(_name: string, value: unknown): unknown {
  return typeof value === "string" && value.length > DETAILS ? value.slice(0, DETAILS + 1) : value;
}
