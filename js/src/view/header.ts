// The header: agent, status, elapsed time, and the Stop button.

import { visibleText } from "../markdown/visible.js";
import type { RunState, Status } from "../protocol.js";
import type { StopState } from "../session.js";
import { focused } from "./focus.js";
import { duration } from "./format.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";
import { STATUS_WORDS } from "./status.js";

export class HeaderView {
  readonly element: HTMLElement;
  readonly #icon = html("span", { class: "agentnb-status-icon" });
  readonly #word: HTMLElement;
  readonly #title = html("span", { class: "agentnb-title" });
  readonly #platform = html("span", { class: "agentnb-platform" });
  readonly #time = html("span", { class: "agentnb-time", role: "timer", "aria-live": "off" });
  readonly #stop: HTMLButtonElement;
  readonly #quiet: boolean;
  readonly #stopLabel = html("span", {}, "Stop");
  #status: Status | null = null;

  /** `quiet` if an outer view announces the status and has the Stop button. */
  constructor(onStop: () => void, quiet = false) {
    this.#quiet = quiet;
    this.#word = html("span", {
      class: "agentnb-status-word",
      ...(quiet ? {} : { role: "status" }),
    });
    this.#stop = html(
      "button",
      { type: "button", class: "agentnb-button agentnb-stop" },
      icon("stop"),
      this.#stopLabel,
    );
    this.#stop.addEventListener("click", onStop);
    this.element = html(
      "div",
      { class: "agentnb-header" },
      this.#icon,
      html("span", { class: "agentnb-names" }, this.#title, this.#platform),
      html("span", { class: "agentnb-state" }, this.#word, this.#time),
      this.#stop,
    );
  }

  update(run: RunState, stop: StopState, final: boolean): void {
    if (this.#status !== run.status) {
      this.#status = run.status;
      this.#icon.replaceChildren(icon(run.status));
      setText(this.#word, STATUS_WORDS[run.status]);
    }
    setText(this.#title, visibleText(run.title || run.agent || "agent"));
    setText(this.#platform, visibleText(run.platform));
    show(this.#platform, run.platform !== "");
    this.#updateStop(run, stop, final);
  }

  tick(elapsed: number): void {
    setText(this.#time, duration(elapsed));
  }

  /** Moves the focus away from an element that is removed. */
  focus(): void {
    this.element.tabIndex = -1;
    this.element.focus({ preventScroll: true });
  }

  #updateStop(run: RunState, stop: StopState, final: boolean): void {
    // Removing the focused button would move the focus to the top of the page.
    const held = final && this.#stop.contains(focused(this.#stop));
    show(this.#stop, !final && !this.#quiet);
    if (held) this.focus();
    const waiting = stop === "sent" || stop === "seen";
    setText(this.#stopLabel, stop === "none" ? "Stop" : waiting ? "Stopping…" : "Stop again");
    const name = visibleText(run.title || run.agent || "agent");
    this.#stop.setAttribute("aria-label", waiting ? `Stopping ${name}` : `Stop ${name}`);
    this.#stop.setAttribute("aria-disabled", String(waiting));
  }
}
