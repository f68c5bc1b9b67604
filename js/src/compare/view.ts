// View of a comparison: the runs side by side, and their metrics below.

import { visibleText } from "../markdown/visible.js";
import { Clock } from "../view/clock.js";
import { focused, handingOver } from "../view/focus.js";
import { html, setText, show } from "../view/html.js";
import { icon } from "../view/icons.js";
import { keepKeys } from "../view/keys.js";
import { RunView } from "../view/run.js";
import { STATUS_WORDS } from "../view/status.js";
import { FIGURES, figures } from "./figures.js";
import type { Compared, CompareSession } from "./session.js";

const MARK = "★";
const MEANING = `${MARK} the least among the completed answers`;

export class CompareView {
  readonly element: HTMLElement;
  readonly #session: CompareSession;
  readonly #prompt = html("p", { class: "agentnb-compare-prompt", dir: "auto" });
  readonly #stopLabel = html("span", {}, "Stop all");
  readonly #stop = html(
    "button",
    { type: "button", class: "agentnb-button agentnb-stop" },
    icon("stop"),
    this.#stopLabel,
  );
  readonly #columns = html("div", { class: "agentnb-compare-runs" });
  readonly #legend = html("span", {}, ` · ${MEANING}`);
  readonly #rows = html("tbody");
  readonly #scroller: HTMLElement;
  readonly #clock: Clock;
  readonly #unsubscribe: () => void;
  #views: RunView[] = [];
  readonly #handOver: () => void;

  constructor(session: CompareSession) {
    this.#session = session;
    this.#stop.addEventListener("click", () => session.stop());
    const headings = ["Agent", "Status", ...FIGURES.map(({ heading }) => heading)];
    const head = headings.map((heading) => html("th", { scope: "col" }, heading));
    const table = html(
      "table",
      {},
      html("caption", {}, "Figures", this.#legend),
      html("thead", {}, html("tr", {}, ...head)),
      this.#rows,
    );
    this.#scroller = html(
      "div",
      // Scrollable elements must be reachable by keyboard.
      { class: "agentnb-compare-table", role: "region", "aria-label": "Figures", tabindex: 0 },
      table,
    );
    this.element = html(
      "div",
      { class: "agentnb agentnb-compare", role: "group" },
      html("div", { class: "agentnb-compare-head" }, this.#prompt, this.#stop),
      this.#columns,
      this.#scroller,
    );
    keepKeys(this.element);
    this.#handOver = handingOver(this.element);
    this.#clock = new Clock(this.#scroller, () => this.#tick());
    this.#unsubscribe = session.subscribe(() => this.#update());
    this.#update();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#clock.dispose();
    this.#handOver();
    for (const view of this.#views) view.dispose();
    this.element.remove();
  }

  #update(): void {
    const { runs, prompt, title, final } = this.#session;
    this.element.setAttribute("aria-label", title || "Comparison");
    setText(this.#prompt, visibleText(prompt));
    for (const { session, label } of runs.slice(this.#views.length)) {
      const view = new RunView(session);
      this.#views.push(view);
      this.#columns.append(view.element);
      this.#rows.append(row(visibleText(label)));
    }
    this.#updateStop(final);
    this.#tick();
    this.#clock.want(!final);
  }

  #updateStop(final: boolean): void {
    // Removing the focused button would move the focus to the top of the page.
    if (final && this.#stop.contains(focused(this.#stop))) {
      this.#scroller.focus({ preventScroll: true });
    }
    const { stopping, runs } = this.#session;
    show(this.#stop, !final && runs.length > 0);
    setText(this.#stopLabel, stopping ? "Stopping…" : "Stop all");
    this.#stop.setAttribute("aria-disabled", String(stopping));
  }

  #tick(): void {
    const { runs } = this.#session;
    const cells = figures(runs.map(({ session }) => session));
    let marked = false;
    runs.forEach((compared, i) => {
      const tr = this.#rows.children[i];
      if (!tr) return;
      this.#status(tr.children[1] as HTMLElement, compared);
      cells[i]?.forEach(({ text, best }, column) => {
        const td = tr.children[column + 2] as HTMLElement;
        marked ||= best;
        if (best === td.childElementCount > 0 && td.firstChild) {
          setText(td.firstChild, text);
        } else {
          td.replaceChildren(text, ...(best ? [mark()] : []));
        }
      });
    });
    show(this.#legend, marked);
  }

  #status(td: HTMLElement, { session }: Compared): void {
    const { status } = session.run;
    if (td.dataset.status === status) return;
    td.dataset.status = status;
    td.replaceChildren(icon(status), STATUS_WORDS[status]);
  }
}

function row(label: string): HTMLElement {
  const cells = ["status", ...FIGURES].map(() => html("td"));
  return html("tr", {}, html("th", { scope: "row" }, label), ...cells);
}

function mark(): HTMLElement {
  return html("span", { class: "agentnb-compare-best", role: "img", "aria-label": "least" }, MARK);
}
