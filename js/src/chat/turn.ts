// One turn: a question and its run, in the same view as in a cell.

import { visibleText } from "../markdown/visible.js";
import type { RunSession } from "../session.js";
import { copyFrom } from "../view/copy.js";
import { focused } from "../view/focus.js";
import { html, setText, show } from "../view/html.js";
import { RunView } from "../view/run.js";
import { button, rename } from "./dom.js";
import { fileCard, fileList } from "./files.js";
import type { TurnState } from "./protocol.js";

export interface TurnActions {
  source(turn: string): RunSession | undefined;
  edit(turn: string): void;
  again(turn: string): void;
  show(turn: string, direction: "previous" | "next"): void;
  followup(text: string): void;
}

/** Properties of a turn in its branch: its number and the versions of its question. */
export interface TurnPlace {
  number: number;
  versions: readonly string[];
}

/** Longer questions scroll on their own. */
const LONG = 1500;
const LINE_PX = 22;
const LINE_LENGTH = 80;
const FRAME_PX = 150;

export class TurnView {
  readonly element: HTMLElement;
  readonly id: string;
  readonly #actions: TurnActions;
  #turn: TurnState;
  #place: TurnPlace = { number: 1, versions: [] };
  #parts: ReturnType<TurnView["build"]> | null = null;
  #run: { source: RunSession; view: RunView } | null = null;
  #shown: TurnState | null = null;

  constructor(turn: TurnState, actions: TurnActions) {
    this.id = turn.id;
    this.#turn = turn;
    this.#actions = actions;
    this.element = html("article", { class: "agentnb-chat-turn" });
    this.element.style.setProperty("--agentnb-guess", `${guess(turn)}px`);
  }

  /** Whether the frame has content yet. */
  get built(): boolean {
    return this.#parts !== null;
  }

  update(turn: TurnState, place: TurnPlace): void {
    this.#turn = turn;
    this.#place = place;
    this.element.setAttribute("aria-label", `Question ${place.number}`);
    if (this.#parts) this.#draw(this.#parts);
  }

  /** Fills the frame, which until then only reserves space. */
  fill(): void {
    this.#parts ??= this.build();
    this.#draw(this.#parts);
  }

  mark(editing: boolean): void {
    this.element.toggleAttribute("data-editing", editing);
  }

  /** Focuses the button for another version; false if there is none. */
  focusVersion(direction: "previous" | "next"): boolean {
    const parts = this.#parts;
    if (!parts || parts.nav.hidden) return false;
    const [first, other] =
      direction === "next" ? [parts.next, parts.previous] : [parts.previous, parts.next];
    (first.getAttribute("aria-disabled") === "true" ? other : first).focus({ preventScroll: true });
    return true;
  }

  dispose(): void {
    this.#run?.view.dispose();
    this.#run = null;
    this.element.remove();
  }

  private build() {
    const step = (direction: "previous" | "next") => () => {
      const { versions } = this.#place;
      const to = versions[versions.indexOf(this.id) + (direction === "next" ? 1 : -1)];
      if (to !== undefined) this.#actions.show(to, direction);
    };
    const bubble = html("div", { class: "agentnb-chat-bubble" });
    const files = fileList("Attachments");
    const previous = button("previous", "Previous version", step("previous"));
    const count = html("span", { class: "agentnb-chat-count" });
    const next = button("chevron", "Next version", step("next"));
    const nav = html(
      "div",
      { class: "agentnb-chat-versions", role: "group" },
      previous,
      count,
      next,
    );
    const copy = button("copy", "Copy question", () => void copyFrom(copy, this.#turn.prompt));
    const edit = button("edit", "Edit question", () => this.#actions.edit(this.id), {
      className: "agentnb-chat-act",
    });
    const again = button("again", "Regenerate answer", () => this.#actions.again(this.id), {
      className: "agentnb-chat-act",
    });
    const note = html("p", { class: "agentnb-chat-turn-note" });
    const answer = html("div", { class: "agentnb-chat-answer" });
    this.element.append(
      html(
        "div",
        { class: "agentnb-chat-question" },
        files,
        bubble,
        html("div", { class: "agentnb-chat-tools" }, nav, copy, edit, again),
      ),
      note,
      answer,
    );
    return { bubble, files, nav, previous, count, next, copy, edit, again, note, answer };
  }

  #draw(parts: ReturnType<TurnView["build"]>): void {
    const { number, versions } = this.#place;
    const turn = this.#turn;
    if (turn !== this.#shown) {
      this.#shown = turn;
      setText(parts.bubble, visibleText(turn.prompt.replace(/\r\n?/g, "\n")));
      show(parts.bubble, turn.prompt !== "");
      if (turn.prompt.length > LONG) parts.bubble.tabIndex = 0;
      parts.files.replaceChildren(...turn.attachments.map((file) => fileCard(file)));
      show(parts.files, turn.attachments.length > 0);
      setText(parts.note, visibleText(turn.note ?? ""));
      show(parts.note, turn.note !== null);
      rename(parts.copy, `Copy question ${number}`);
      rename(parts.edit, `Edit question ${number}`);
      rename(parts.again, `Regenerate answer ${number}`);
    }
    const at = versions.indexOf(this.id) + 1;
    show(parts.nav, versions.length > 1);
    if (versions.length > 1) {
      parts.nav.setAttribute("aria-label", `Version ${at} of ${versions.length}`);
      setText(parts.count, `${at} / ${versions.length}`);
      rename(parts.previous, `Previous version of question ${number}`);
      rename(parts.next, `Next version of question ${number}`);
      parts.previous.setAttribute("aria-disabled", String(at <= 1));
      parts.next.setAttribute("aria-disabled", String(at >= versions.length));
    }
    const source = this.#actions.source(this.id);
    if (!source || this.#run?.source === source) return;
    const hadFocus = this.#run?.view.element.contains(focused(this.element)) ?? false;
    this.#run?.view.dispose();
    const view = new RunView(source, {
      compact: true,
      quiet: true,
      followup: (text) => this.#actions.followup(text),
    });
    this.#run = { source, view };
    parts.answer.append(view.element);
    if (hadFocus) parts.edit.focus({ preventScroll: true });
  }
}

/** Estimated height of a turn before it is rendered, for the scroll bar. */
function guess({ prompt, run }: TurnState): number {
  let lines = prompt.length / LINE_LENGTH;
  for (const part of run.run.parts)
    lines += part.kind === "text" ? part.text.length / LINE_LENGTH : 2;
  return Math.round(FRAME_PX + lines * LINE_PX);
}
