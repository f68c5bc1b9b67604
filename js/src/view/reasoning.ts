// The reasoning: open while it grows, closed once an answer follows.

import type { Passage } from "../protocol.js";
import { html, setText } from "./html.js";
import { icon } from "./icons.js";
import type { PartContext, PartView } from "./part.js";
import { MarkdownPassage } from "./passage.js";

export class ReasoningView implements PartView<Passage> {
  readonly kind = "reasoning";
  readonly element: HTMLDetailsElement;
  readonly #label = html("span", { class: "agentnb-summary-label" });
  readonly #passage = new MarkdownPassage("agentnb-reasoning-text");
  #touched = false;
  #pending: (() => void) | null = null;

  constructor() {
    const summary = html("summary", {}, icon("chevron"), this.#label);
    this.element = html(
      "details",
      { class: "agentnb-reasoning", open: true },
      summary,
      this.#passage.element,
    );
    // A toggle event does not distinguish the user's click from ours; a click on the summary does.
    summary.addEventListener("click", () => {
      this.#touched = true;
    });
    this.element.addEventListener("toggle", () => this.#flush());
  }

  update(part: Passage, { state, answered }: PartContext): void {
    setText(this.#label, state === "growing" ? "Reasoning…" : "Reasoning");
    this.element.dataset.live = String(state === "growing");
    if (!this.#touched && this.element.open === answered) this.element.open = !answered;
    this.#pending = () => this.#passage.update(part.text, state);
    this.#flush();
  }

  dispose(): void {
    this.#passage.dispose();
  }

  /** Closed passages are not rendered. */
  #flush(): void {
    if (!this.#pending || !this.element.open) return;
    this.#pending();
    this.#pending = null;
  }
}
