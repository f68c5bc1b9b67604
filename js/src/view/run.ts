// The whole view of one run, in a cell or in a chat.

import { isFinal, type Part, type RunState } from "../protocol.js";
import type { StopState } from "../session.js";
import { AnswerView } from "./answer.js";
import { Clock } from "./clock.js";
import { FactsView } from "./facts.js";
import { HeaderView } from "./header.js";
import { html } from "./html.js";
import { ApprovalsView, EndView, FollowupsView, HintView } from "./notes.js";
import type { PartContext, PartView } from "./part.js";
import { ReasoningView } from "./reasoning.js";
import { ToolView } from "./tool.js";

/** What a view needs of a run that it follows. */
export interface RunSource {
  readonly run: RunState;
  readonly stopState: StopState;
  readonly silent: boolean;
  /** Seconds since the run was sent, by now. */
  readonly elapsed: number;
  stop(): void;
  subscribe(listener: () => void): () => void;
}

export class RunView {
  readonly element: HTMLElement;
  readonly #source: RunSource;
  readonly #header: HeaderView;
  readonly #hint = new HintView();
  readonly #body = html("div", { class: "agentnb-body", role: "log", "aria-live": "polite" });
  readonly #approvals = new ApprovalsView();
  readonly #end = new EndView();
  readonly #followups = new FollowupsView();
  readonly #facts = new FactsView();
  readonly #clock: Clock;
  readonly #unsubscribe: () => void;
  #parts: PartView<Part>[] = [];
  /** The notebook's cell, while a reader's focus is in this view. */
  #cell: HTMLElement | null = null;

  constructor(source: RunSource) {
    this.#source = source;
    this.#header = new HeaderView(() => source.stop());
    this.element = html(
      "div",
      // Enter on a button here must press it, and not open the cell for editing.
      { class: "agentnb", role: "group", "data-lm-suppress-shortcuts": "true" },
      this.#header.element,
      this.#hint.element,
      this.#body,
      this.#approvals.element,
      this.#end.element,
      this.#followups.element,
      this.#facts.element,
    );
    this.element.addEventListener("focusin", () => {
      this.#cell = this.element.closest<HTMLElement>(".jp-Cell");
    });
    this.element.addEventListener("focusout", (event) => {
      // Without a target the focus was not moved: what had it went away, the Stop button say.
      if (event.relatedTarget) this.#cell = null;
    });
    this.#clock = new Clock(this.element, () => this.#tick());
    this.#unsubscribe = source.subscribe(() => this.#update());
    this.#update();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#clock.dispose();
    for (const part of this.#parts) part.dispose();
    this.#handOverFocus();
    this.element.remove();
  }

  /** A reader who was in here goes on in the notebook's cell, not at the top of the page. */
  #handOverFocus(): void {
    const lost = document.activeElement === document.body;
    if (lost || this.element.contains(document.activeElement)) {
      this.#cell?.focus({ preventScroll: true });
    }
  }

  #update(): void {
    const { run, stopState, silent, elapsed } = this.#source;
    const final = isFinal(run.status);
    this.element.dataset.status = run.status;
    this.element.setAttribute("aria-label", `Run of ${run.title || run.agent || "agent"}`);
    this.#header.update(run, stopState, final);
    this.#header.tick(elapsed);
    this.#hint.update(run, final ? "none" : stopState, silent);
    // A reader of the screen is told the answer once it is there, not each fragment of it.
    this.#body.setAttribute("aria-busy", String(!final && run.status !== "paused"));
    this.#updateParts(run, final, elapsed);
    this.#approvals.update(run);
    this.#end.update(run);
    this.#followups.update(run);
    this.#facts.update(run, final);
    this.#clock.want(!final);
  }

  #updateParts(run: RunState, final: boolean, elapsed: number): void {
    const lastAnswer = run.parts.findLastIndex((part) => part.kind === "text");
    run.parts.forEach((part, i) => {
      const context: PartContext = {
        state: final ? "final" : i < run.parts.length - 1 ? "resting" : "growing",
        answered: final || i < lastAnswer,
        elapsed,
      };
      this.#viewOf(part, i).update(part, context);
    });
    for (const gone of this.#parts.splice(run.parts.length)) {
      gone.dispose();
      gone.element.remove();
    }
  }

  #viewOf(part: Part, index: number): PartView<Part> {
    const here = this.#parts[index];
    if (here?.kind === part.kind) return here;
    const made = viewFor(part);
    if (here) {
      here.dispose();
      here.element.replaceWith(made.element);
    } else {
      this.#body.append(made.element);
    }
    this.#parts[index] = made;
    return made;
  }

  #tick(): void {
    const { run, elapsed } = this.#source;
    this.#header.tick(elapsed);
    // Tool calls that still run count up as well.
    run.parts.forEach((part, i) => {
      if (part.kind === "tool" && part.status === "running") {
        this.#parts[i]?.update(part, { state: "growing", answered: false, elapsed });
      }
    });
  }
}

function viewFor(part: Part): PartView<Part> {
  switch (part.kind) {
    case "text":
      return new AnswerView() as PartView<Part>;
    case "reasoning":
      return new ReasoningView() as PartView<Part>;
    case "tool":
      return new ToolView() as PartView<Part>;
  }
}
