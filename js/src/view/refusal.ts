// What the agent refuses with, in place of an answer.

import type { Passage } from "../protocol.js";
import { html } from "./html.js";
import type { PartContext, PartView } from "./part.js";
import { MarkdownPassage } from "./passage.js";

export class RefusalView implements PartView<Passage> {
  readonly kind = "refusal";
  readonly #passage = new MarkdownPassage("agentnb-refusal-text");
  readonly element = html(
    "div",
    { class: "agentnb-refusal", role: "group", "aria-label": "Refusal" },
    html("div", { class: "agentnb-refusal-label" }, "The agent refused"),
    this.#passage.element,
  );

  update(part: Passage, { state }: PartContext): void {
    this.#passage.update(part.text, state);
  }

  dispose(): void {
    this.#passage.dispose();
  }
}
