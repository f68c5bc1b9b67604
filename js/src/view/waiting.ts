// A line below the answer while the run waits: for what, and for how long.

import { visibleText } from "../markdown/visible.js";
import type { Waiting } from "../protocol.js";
import { duration } from "./format.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";

const WORDS: Readonly<Record<Waiting["kind"], string>> = {
  reconnect: "Reconnecting",
  retry: "Trying again",
};

/** "Reconnecting, 2 of 5", announced once per attempt. */
export function attemptOf({ kind, attempt, of }: Waiting): string {
  return `${WORDS[kind]}, ${attempt} of ${of}`;
}

export class WaitingView {
  readonly element: HTMLElement;
  readonly #icon = html("span", { class: "agentnb-waiting-icon", hidden: true }, icon("again"));
  readonly #word: HTMLElement;
  readonly #left = html("span", {
    class: "agentnb-waiting-left",
    role: "timer",
    "aria-live": "off",
  });
  readonly #reason = html("p", { class: "agentnb-waiting-reason", dir: "auto" });

  /** `quiet` if an outer view announces it. */
  constructor(quiet = false) {
    this.#word = html("span", quiet ? {} : { role: "status" });
    this.element = html(
      "div",
      { class: "agentnb-waiting" },
      this.#icon,
      html("p", { class: "agentnb-waiting-words" }, this.#word, this.#left),
      this.#reason,
    );
  }

  /** Displays what the run waits for; stays in the page without it, as live regions must. */
  update(waiting: Waiting | null): void {
    this.element.toggleAttribute("data-on", waiting !== null);
    show(this.#icon, waiting !== null);
    setText(this.#word, waiting === null ? "" : attemptOf(waiting));
    setText(this.#reason, visibleText(waiting?.reason ?? ""));
    show(this.#reason, Boolean(waiting?.reason));
    this.tick(waiting);
  }

  /** Counts down. */
  tick(waiting: Waiting | null): void {
    setText(this.#left, waiting === null ? "" : left(waiting.seconds));
  }
}

function left(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole <= 0) return "…";
  return `, in ${whole < 60 ? `${whole} s` : duration(whole)}`;
}
