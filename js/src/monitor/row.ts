// One run in the monitor.

import { visibleText } from "../markdown/visible.js";
import { putStatus } from "../table/status.js";
import { focused } from "../view/focus.js";
import { count, duration } from "../view/format.js";
import { html, setText, show } from "../view/html.js";
import { icon } from "../view/icons.js";
import type { WatchedRow } from "./protocol.js";
import type { MonitorSession } from "./session.js";

const NONE = "–";
const BUSY = "The kernel is busy and has not seen the click yet.";

export class WatchedView {
  readonly element: HTMLElement;
  readonly #session: MonitorSession;
  readonly #status = html("td", { class: "agentnb-status" });
  readonly #title = html("div", { class: "agentnb-monitor-title", dir: "auto" });
  readonly #who = html("div", { class: "agentnb-monitor-who" });
  readonly #detail = html("div", { class: "agentnb-monitor-detail", dir: "auto" });
  readonly #error = html("div", { class: "agentnb-monitor-error", dir: "auto" });
  readonly #time = html("td", { class: "agentnb-monitor-figure" });
  readonly #tokens = html("td", { class: "agentnb-monitor-figure agentnb-monitor-tokens" });
  readonly #stopLabel = html("span");
  readonly #stop: HTMLButtonElement;
  #row: WatchedRow;

  constructor(session: MonitorSession, row: WatchedRow) {
    this.#session = session;
    this.#row = row;
    this.#stop = html(
      "button",
      { type: "button", class: "agentnb-button agentnb-stop" },
      icon("stop"),
      this.#stopLabel,
    );
    this.#stop.addEventListener("click", () => session.stop(this.#row.key));
    this.element = html(
      "tr",
      {},
      this.#status,
      html(
        "th",
        { scope: "row", class: "agentnb-monitor-name", tabindex: "-1" },
        this.#title,
        this.#who,
        this.#detail,
        this.#error,
      ),
      this.#time,
      this.#tokens,
      html("td", { class: "agentnb-monitor-action" }, this.#stop),
    );
  }

  update(row: WatchedRow): void {
    this.#row = row;
    const { agent, platform, status, detail, error, tokens } = row;
    const { lost } = this.#session;
    putStatus(this.#status, status);
    const who = [agent, platform].filter((text) => text).map(visibleText);
    const title = visibleText(row.title.trim()) || who[0] || visibleText(row.run_id ?? row.key);
    setText(this.#title, title);
    setText(this.#who, who.join(" · "));
    show(this.#who, who.length > 0);
    setText(this.#detail, visibleText(detail));
    show(this.#detail, detail !== "");
    const problem = this.#problem() ?? error ?? "";
    setText(this.#error, visibleText(problem));
    show(this.#error, problem !== "");
    setText(this.#tokens, tokens === null ? NONE : count(tokens));
    this.tick();
    this.#updateStop(row.can_stop && !row.final && !lost, title);
  }

  tick(): void {
    const elapsed = this.#session.elapsed(this.#row);
    setText(this.#time, elapsed === null ? NONE : duration(elapsed));
  }

  #problem(): string | null {
    const { key } = this.#row;
    return this.#session.stopState(key) === "unanswered" ? BUSY : this.#session.stopError(key);
  }

  #updateStop(visible: boolean, title: string): void {
    const held = !visible && this.#stop.contains(focused(this.#stop));
    show(this.#stop, visible);
    // Removing the focused button would move the focus to the top of the page.
    if (held) this.element.querySelector("th")?.focus({ preventScroll: true });
    const state = this.#session.stopState(this.#row.key);
    const waiting = state === "sent" || state === "seen";
    setText(this.#stopLabel, state === "none" ? "Stop" : waiting ? "Stopping…" : "Stop again");
    this.#stop.setAttribute("aria-label", `${waiting ? "Stopping" : "Stop"} ${title}`);
    this.#stop.setAttribute("aria-disabled", String(waiting));
  }
}
