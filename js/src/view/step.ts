// The start of a step or a sub-agent, with its status; its parts follow, indented.

import { visibleText } from "../markdown/visible.js";
import type { Step, ToolStatus } from "../protocol.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";
import type { PartContext, PartView } from "./part.js";
import { timeOf, WORDS } from "./tool.js";

export class StepView implements PartView<Step> {
  readonly kind = "step";
  readonly #icon = html("span", { class: "agentnb-tool-icon" });
  readonly #name = html("span", { class: "agentnb-step-name" });
  readonly #status = html("span", { class: "agentnb-tool-status" });
  readonly #time = html("span", { class: "agentnb-tool-time" });
  readonly #error = html("p", { class: "agentnb-step-error" });
  readonly element = html(
    "div",
    { class: "agentnb-step" },
    this.#icon,
    this.#name,
    this.#status,
    this.#time,
    this.#error,
  );
  #drawn: ToolStatus | null = null;

  update(part: Step, { elapsed }: PartContext): void {
    if (this.#drawn !== part.status) {
      this.#drawn = part.status;
      this.element.dataset.status = part.status;
      this.#icon.replaceChildren(icon(WORDS[part.status].icon));
      setText(this.#status, WORDS[part.status].word);
    }
    setText(this.#name, visibleText(part.name) || "Step");
    setText(this.#time, timeOf(part, elapsed));
    setText(this.#error, visibleText(part.error ?? ""));
    show(this.#error, part.error !== null);
  }

  dispose(): void {}
}
