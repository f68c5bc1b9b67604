// The timeline of a run as bars on a time axis, requested from the kernel when it is opened.

import { visibleText } from "../markdown/visible.js";
import type { Segment, TimelinePage } from "../protocol.js";
import { briefDuration, count } from "./format.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";

/** Maximum number of ticks, for values that are nearly infinite. */
const TICKS = 20;
const SILENT =
  "The kernel does not answer: it is busy, or it was restarted and no longer has the run.";
const WORDS: Readonly<Record<Segment["kind"], string>> = {
  waiting: "nothing yet",
  reasoning: "reasoning",
  text: "answer",
  tool: "tool call",
  approval: "approval",
  step: "step",
};

// Each from where on it gives shorter labels than the next; below that, milliseconds.
const UNITS = [
  [3600, "h"],
  [60, "min"],
  [1, "s"],
] as const;
const SHORTEST = { h: 5, min: 5, s: 0.1 } as const;

let made = 0;

export class TimelineView {
  /** Opens and closes the chart. */
  readonly button: HTMLButtonElement;
  readonly element: HTMLElement;
  readonly #ask: () => Promise<TimelinePage>;
  readonly #rows = html("ol", { class: "agentnb-timeline-rows" });
  readonly #axis = html("div", { class: "agentnb-timeline-axis", "aria-hidden": "true" });
  readonly #chart: HTMLElement;
  readonly #detail = html("p", { class: "agentnb-timeline-detail" });
  readonly #state = html("p", { class: "agentnb-timeline-state", role: "status" });
  readonly #again = html("button", { type: "button", class: "agentnb-button agentnb-more" });
  #page: TimelinePage | undefined;
  #asking = false;
  #failed = false;
  #final = false;
  #gone = false;

  constructor(ask: () => Promise<TimelinePage>) {
    this.#ask = ask;
    made += 1;
    const id = `agentnb-timeline-${made}`;
    this.button = html(
      "button",
      {
        type: "button",
        class: "agentnb-button agentnb-timeline-button",
        "aria-expanded": "false",
        "aria-controls": id,
      },
      icon("chevron"),
      "Timeline",
    );
    this.button.addEventListener("click", () => this.#toggle());
    this.#again.addEventListener("click", () => void this.#load());
    this.#rows.addEventListener("keydown", (event) => this.#move(event));
    for (const type of ["focusin", "pointerover"] as const) {
      this.#rows.addEventListener(type, ({ target }) => this.#tell(target));
    }
    // Time runs to the right in every script.
    this.#chart = html(
      "div",
      { class: "agentnb-timeline-chart", dir: "ltr" },
      this.#rows,
      html("div", { class: "agentnb-timeline-row" }, this.#axis),
    );
    this.element = html(
      "div",
      { class: "agentnb-timeline", id, hidden: true },
      this.#chart,
      this.#detail,
      this.#state,
      this.#again,
    );
  }

  update(final: boolean): void {
    if (this.#final === final) return;
    this.#final = final;
    if (this.element.hidden) this.#page = undefined;
    else void this.#load();
  }

  dispose(): void {
    this.#gone = true;
  }

  #toggle(): void {
    const open = this.element.hidden !== false;
    show(this.element, open);
    this.button.setAttribute("aria-expanded", String(open));
    if (open && (!this.#page || !this.#final)) void this.#load();
  }

  async #load(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    this.#failed = false;
    this.#draw();
    const final = this.#final;
    try {
      this.#page = await this.#ask();
      if (!this.#gone) this.#plot(this.#page);
    } catch {
      this.#failed = true;
    }
    this.#asking = false;
    if (this.#gone) return;
    this.#draw();
    // The run has ended meanwhile, so this is out of date.
    if (final !== this.#final && !this.#failed) void this.#load();
  }

  #plot({ end, segments }: TimelinePage): void {
    const held = this.#items().indexOf(this.#rows.querySelector("li:focus") as HTMLElement);
    const whole = Math.max(end, 1e-6);
    const { step, unit, name, digits } = scale(whole);
    this.#chart.style.setProperty("--agentnb-step", `${(100 * step) / whole}%`);
    this.#rows.setAttribute("aria-label", `Timeline of ${briefDuration(end)}`);
    this.#rows.replaceChildren(...segments.map((segment) => row(segment, whole)));
    const ticks: HTMLElement[] = [];
    for (let at = 0; at <= whole * 1.0001 && ticks.length < TICKS; at += step) {
      const tick = html("span", {}, `${(at / unit).toFixed(digits)} ${name}`);
      tick.style.left = `${(100 * at) / whole}%`;
      tick.style.setProperty("--agentnb-at", tick.style.left);
      ticks.push(tick);
    }
    this.#axis.replaceChildren(...ticks);
    const items = this.#items();
    const next = items[Math.min(Math.max(held, 0), items.length - 1)];
    next?.setAttribute("tabindex", "0");
    if (held >= 0) next?.focus();
    else setText(this.#detail, "");
  }

  #draw(): void {
    const page = this.#page;
    const empty = !page || page.segments.length === 0;
    show(this.#chart, !empty);
    show(this.#detail, !empty);
    const more = page && page.total > page.segments.length;
    const word = this.#failed
      ? SILENT
      : this.#asking && !page
        ? "Asking the kernel…"
        : empty
          ? "Nothing has happened yet."
          : more
            ? `The first ${count(page.segments.length)} of ${count(page.total)} are shown.`
            : "";
    setText(this.#state, word);
    show(this.#state, word !== "");
    setText(this.#again, this.#failed ? "Try again" : "Refresh");
    this.#again.setAttribute("aria-disabled", String(this.#asking));
    show(this.#again, this.#failed || (!this.#final && page !== undefined));
  }

  #items(): HTMLElement[] {
    return [...this.#rows.children] as HTMLElement[];
  }

  /** One row at a time can be focused; arrow keys move between them. */
  #move(event: KeyboardEvent): void {
    const items = this.#items();
    const here = items.indexOf(event.target as HTMLElement);
    const there = {
      ArrowDown: here + 1,
      ArrowUp: here - 1,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    const next = there === undefined ? undefined : items[there];
    if (!next) return;
    event.preventDefault();
    items[here]?.setAttribute("tabindex", "-1");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  #tell(target: EventTarget | null): void {
    const item = target instanceof Element ? target.closest("li") : null;
    const segment = item && this.#page?.segments[this.#items().indexOf(item)];
    if (!segment) return;
    const words = [`${segment.label}: ${span(segment)}`, segment.detail];
    setText(this.#detail, visibleText(words.filter((word) => word).join(" · ")));
  }
}

function row(segment: Segment, whole: number): HTMLElement {
  const { kind, label, start, end, status } = segment;
  const bar = html("span", { class: "agentnb-timeline-bar" });
  bar.style.left = `${(100 * start) / whole}%`;
  bar.style.width = `${(100 * (end - start)) / whole}%`;
  const item = html(
    "li",
    { class: "agentnb-timeline-row", tabindex: -1, "data-kind": kind },
    html("span", { class: "agentnb-timeline-label" }, visibleText(label)),
    html("span", { class: "agentnb-timeline-time" }, briefDuration(end - start)),
    html("span", { class: "agentnb-timeline-track" }, bar),
    html("span", { class: "agentnb-said" }, ` ${WORDS[kind]}, ${span(segment)}`),
  );
  if (status) item.dataset.status = status;
  return item;
}

function span({ start, end, status }: Segment): string {
  const times = `${briefDuration(start)} to ${briefDuration(end)}`;
  return status ? `${times}, ${status}` : times;
}

/** About five round ticks, in milliseconds, seconds, minutes or hours. */
function scale(whole: number): { step: number; unit: number; name: string; digits: number } {
  const [unit, name] =
    UNITS.find(([unit, name]) => whole >= SHORTEST[name] * unit) ?? ([0.001, "ms"] as const);
  const rough = whole / unit / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const round = [1, 2, 5, 10].find((each) => each * power >= rough) ?? 10;
  const digits = Math.max(0, -Math.floor(Math.log10(round * power) + 1e-9));
  return { step: round * power * unit, unit, name, digits };
}
