// The answer as Markdown, while it arrives.

import type { Passage } from "../protocol.js";
import type { PartContext, PartView } from "./part.js";
import { MarkdownPassage } from "./passage.js";

export class AnswerView implements PartView<Passage> {
  readonly kind = "text";
  readonly element: HTMLElement;
  readonly #passage = new MarkdownPassage("agentnb-answer");

  constructor() {
    this.element = this.#passage.element;
  }

  update(part: Passage, { state }: PartContext): void {
    this.#passage.update(part.text, state);
  }

  dispose(): void {
    this.#passage.dispose();
  }
}
