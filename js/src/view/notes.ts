// Notes of a run besides its answer: hints, errors, followups.

import { visibleText } from "../markdown/visible.js";
import type { RunState } from "../protocol.js";
import type { ClickState } from "../session.js";
import { restNote, tellRest } from "./bounded.js";
import { html, setScrollingText, setText, show } from "./html.js";
import { icon } from "./icons.js";
import { endNote } from "./status.js";

const BUSY =
  "The kernel is busy and has not seen the click yet. Interrupting the kernel (■ in the toolbar) stops this run.";
const BUSY_DECISION = "The kernel is busy and has not seen the decision yet. It may be made again.";
const SILENT = "No word from the kernel for a while: it may be busy, or it was restarted.";

/** One line above the answer: a hint of the kernel, or of the page itself. */
export class HintView {
  readonly element = html("p", { class: "agentnb-hint", role: "status" });

  update(run: RunState, stop: ClickState, decision: ClickState, silent: boolean): void {
    const text =
      stop === "unanswered"
        ? BUSY
        : decision === "unanswered"
          ? BUSY_DECISION
          : silent
            ? SILENT
            : visibleText(run.notice ?? "");
    setText(this.element, text);
    show(this.element, text !== "");
  }
}

/** The error's message and code, or why the answer is incomplete. */
export class EndView {
  readonly element = html("div", { class: "agentnb-end" });
  readonly #message = html("p", { class: "agentnb-error-message" });
  readonly #code = html("code", { class: "agentnb-error-code" });
  readonly #error = html(
    "div",
    { class: "agentnb-error", role: "group", "aria-label": "Error" },
    icon("failed"),
    html("div", {}, this.#message, this.#code),
  );
  readonly #note = html("p", { class: "agentnb-note" });
  readonly #textRest = restNote();
  readonly #reasoningRest = restNote();

  constructor() {
    this.element.append(this.#reasoningRest, this.#textRest, this.#note, this.#error);
  }

  update(run: RunState): void {
    const { error } = run;
    // The error of an interrupted run says more than the status.
    const hasError = run.status === "interrupted" && error !== null;
    const note = hasError ? "" : (endNote(run.status, run.parts.length > 0) ?? "");
    const failed = run.status === "failed" && error === null;
    setText(this.#note, note);
    show(this.#note, note !== "");
    const message = failed ? "The run failed." : visibleText(error?.message ?? "");
    setScrollingText(this.#message, message);
    setText(this.#code, visibleText(error?.code ?? ""));
    show(this.#code, Boolean(error?.code));
    show(this.#error, failed || error !== null);
    const [text, reasoning] = [omitted(run, "text"), omitted(run, "reasoning")];
    tellRest(this.#textRest, text, "run.text");
    tellRest(this.#reasoningRest, reasoning, "run.reasoning");
    show(this.element, note !== "" || failed || error !== null || text + reasoning > 0);
  }
}

/** Number of characters of the answer and of the reasoning that are not in the page. */
function omitted(run: RunState, kind: "text" | "reasoning"): number {
  let sum = 0;
  for (const part of run.parts) if (part.kind === kind) sum += part.text_more;
  return sum;
}

/** Suggested questions: buttons if they can be asked, otherwise text. */
export class FollowupsView {
  readonly element = html("div", { class: "agentnb-followups" });
  readonly #list = html("ul");
  readonly #ask: ((text: string) => void) | undefined;
  #shown = "";

  constructor(ask?: (text: string) => void) {
    this.#ask = ask;
    this.element.append(html("div", { class: "agentnb-followups-title" }, "Ask next"), this.#list);
  }

  update(run: RunState): void {
    const key = JSON.stringify(run.followups);
    show(this.element, run.followups.length > 0);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#list.replaceChildren(...run.followups.map((text) => html("li", {}, this.#item(text))));
  }

  #item(text: string): HTMLElement | string {
    const ask = this.#ask;
    if (!ask) return visibleText(text);
    const button = html(
      "button",
      { type: "button", class: "agentnb-button agentnb-followup" },
      visibleText(text),
    );
    button.addEventListener("click", () => ask(text));
    return button;
  }
}
