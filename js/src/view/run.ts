// View of one run, in a cell or in a chat.

import {
  type EventsPage,
  isFinal,
  type Part,
  type RunState,
  type TimelinePage,
  type Waiting,
} from "../protocol.js";
import type { ClickState, StopState } from "../session.js";
import { AnswerView } from "./answer.js";
import { Clock } from "./clock.js";
import { copyButton } from "./copy.js";
import { ApprovalsView } from "./decide.js";
import { FactsView } from "./facts.js";
import { focused, handingOver } from "./focus.js";
import { HeaderView } from "./header.js";
import { html, show } from "./html.js";
import { keepKeys } from "./keys.js";
import { MediaView } from "./media.js";
import { EndView, FollowupsView, HintView } from "./notes.js";
import type { PartContext, PartView } from "./part.js";
import { ReasoningView } from "./reasoning.js";
import { RecordView } from "./record.js";
import { RefusalView } from "./refusal.js";
import { SourcesView, StateView } from "./sources.js";
import { StepView } from "./step.js";
import { TimelineView } from "./timeline.js";
import { ToolView } from "./tool.js";
import { WaitingView } from "./waiting.js";

/** The interface of a run that the view needs. */
export interface RunSource {
  readonly run: RunState;
  readonly stopState: StopState;
  readonly decideState: ClickState;
  readonly silent: boolean;
  /** Seconds since the request. */
  readonly elapsed: number;
  /** A pending reconnect or retry, with the seconds left. */
  readonly waiting: Waiting | null;
  stop(): void;
  decide(approvalId: string | null, approved: boolean, key?: string, payload?: string): void;
  /** Events of the run from number `offset` on. */
  events(offset: number): Promise<EventsPage>;
  /** The timeline of the run. */
  timeline(): Promise<TimelinePage>;
  subscribe(listener: () => void): () => void;
}

export interface RunViewOptions {
  /** Handles a clicked followup; without it they are only displayed. */
  followup?: (text: string) => void;
  /** For a view inside one that names the agent: without frame and names. */
  compact?: boolean;
  /** For a view inside one that announces changes and has a Stop button. */
  quiet?: boolean;
}

export class RunView {
  readonly element: HTMLElement;
  readonly #source: RunSource;
  readonly #header: HeaderView;
  readonly #hint = new HintView();
  readonly #body: HTMLElement;
  readonly #waiting: WaitingView;
  readonly #approvals: ApprovalsView;
  readonly #end = new EndView();
  readonly #followups: FollowupsView;
  readonly #sources = new SourcesView();
  readonly #state = new StateView();
  readonly #facts = new FactsView();
  readonly #copy: HTMLButtonElement;
  readonly #timeline: TimelineView;
  readonly #record: RecordView;
  readonly #foot: HTMLElement;
  readonly #clock: Clock;
  readonly #unsubscribe: () => void;
  readonly #handOver: () => void;
  #parts: PartView<Part>[] = [];

  constructor(source: RunSource, options: RunViewOptions = {}) {
    this.#source = source;
    const live = options.quiet ? {} : { role: "log", "aria-live": "polite" };
    this.#body = html("div", { class: "agentnb-body", ...live });
    this.#header = new HeaderView(() => source.stop(), options.quiet);
    this.#waiting = new WaitingView(options.quiet);
    this.#approvals = new ApprovalsView((...decision) => source.decide(...decision));
    this.#followups = new FollowupsView(options.followup);
    this.#copy = copyButton("Copy as Markdown", () => answerOf(source.run));
    this.#timeline = new TimelineView(() => source.timeline());
    this.#record = new RecordView((offset) => source.events(offset));
    this.#foot = html(
      "div",
      { class: "agentnb-foot" },
      this.#facts.element,
      html(
        "div",
        { class: "agentnb-actions" },
        this.#copy,
        this.#timeline.button,
        this.#record.button,
      ),
    );
    this.element = html(
      "div",
      { class: options.compact ? "agentnb agentnb-compact" : "agentnb", role: "group" },
      this.#header.element,
      this.#hint.element,
      this.#body,
      this.#waiting.element,
      this.#approvals.element,
      this.#end.element,
      this.#sources.element,
      this.#state.element,
      this.#followups.element,
      this.#foot,
      this.#timeline.element,
      this.#record.element,
    );
    // Enter on a button must press it, and not edit the cell.
    keepKeys(this.element);
    this.#handOver = handingOver(this.element);
    this.#clock = new Clock(this.element, () => this.#tick());
    this.#unsubscribe = source.subscribe(() => this.#update());
    this.#update();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#clock.dispose();
    this.#timeline.dispose();
    this.#record.dispose();
    for (const part of this.#parts) part.dispose();
    this.#handOver();
    this.element.remove();
  }

  #update(): void {
    const { run, stopState, decideState, silent, elapsed, waiting } = this.#source;
    const final = isFinal(run.status);
    this.element.dataset.status = run.status;
    this.element.setAttribute("aria-label", `Run of ${run.title || run.agent || "agent"}`);
    this.#header.update(run, stopState, final);
    this.#header.tick(elapsed);
    this.#hint.update(run, final ? "none" : stopState, final ? "none" : decideState, silent);
    // Screen readers announce the answer once it is complete, not each fragment.
    this.#body.setAttribute("aria-busy", String(!final && run.status !== "paused"));
    this.#updateParts(run, final, elapsed);
    this.#waiting.update(waiting);
    this.#updateApprovals(run, decideState);
    this.#end.update(run);
    this.#sources.update(run);
    this.#state.update(run);
    this.#followups.update(run);
    this.#facts.update(run, final);
    show(this.#copy, final && run.parts.some((part) => part.kind === "text" && part.text !== ""));
    this.#timeline.update(final);
    this.#record.update(final);
    show(this.#foot, final || run.status === "paused" || !this.#facts.element.hidden);
    this.#clock.want(!final);
  }

  #updateApprovals(run: RunState, decision: ClickState): void {
    const { element } = this.#approvals;
    const held = () => element.contains(focused(element));
    const before = held();
    this.#approvals.update(run, decision);
    // As with Stop: keep the focus here after a decision.
    if (before && (element.hidden || !held())) this.#header.focus();
  }

  #updateParts(run: RunState, final: boolean, elapsed: number): void {
    const lastAnswer = run.parts.findLastIndex((part) => part.kind === "text");
    let calls = 0;
    let media = 0;
    run.parts.forEach((part, i) => {
      const context: PartContext = {
        state: final ? "final" : i < run.parts.length - 1 ? "resting" : "growing",
        answered: final || i < lastAnswer,
        calls,
        media,
        elapsed,
      };
      this.#viewOf(part, i).update(part, context);
      if (part.kind === "tool") calls += 1;
      else if (part.kind === "media") media += 1;
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
    if (part.depth) {
      made.element.classList.add("agentnb-nested");
      made.element.style.setProperty("--agentnb-depth", String(Math.min(part.depth, 8)));
    }
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
    const { run, elapsed, waiting } = this.#source;
    this.#header.tick(elapsed);
    this.#waiting.tick(waiting);
    this.#approvals.tick();
    // Running tool calls and steps have a clock as well.
    let calls = 0;
    run.parts.forEach((part, i) => {
      if (part.kind !== "tool" && part.kind !== "step") return;
      if (part.status === "running") {
        const context: PartContext = {
          state: "growing",
          answered: false,
          calls,
          media: 0,
          elapsed,
        };
        this.#parts[i]?.update(part, context);
      }
      if (part.kind === "tool") calls += 1;
    });
  }
}

/** The answer as the agent wrote it. */
function answerOf(run: RunState): string {
  return run.parts
    .flatMap((part) => (part.kind === "text" && part.text ? [part.text] : []))
    .join("\n\n");
}

function viewFor(part: Part): PartView<Part> {
  switch (part.kind) {
    case "text":
      return new AnswerView() as PartView<Part>;
    case "reasoning":
      return new ReasoningView() as PartView<Part>;
    case "refusal":
      return new RefusalView() as PartView<Part>;
    case "tool":
      return new ToolView() as PartView<Part>;
    case "step":
      return new StepView() as PartView<Part>;
    case "media":
      return new MediaView() as PartView<Part>;
  }
}
