// One tool call: its name and status, and its arguments and result on demand.

import { visibleText } from "../markdown/visible.js";
import type { Step, ToolCall, ToolStatus } from "../protocol.js";
import { BoundedText } from "./bounded.js";
import { briefDuration } from "./format.js";
import { html, setScrollingText, setText, show } from "./html.js";
import { type IconName, icon } from "./icons.js";
import { indentJson } from "./json.js";
import type { PartContext, PartView } from "./part.js";

export const WORDS: Readonly<Record<ToolStatus, { word: string; icon: IconName }>> = {
  running: { word: "running", icon: "running" },
  completed: { word: "completed", icon: "completed" },
  failed: { word: "failed", icon: "failed" },
  abandoned: { word: "not finished", icon: "cancelled" },
};

export class ToolView implements PartView<ToolCall> {
  readonly kind = "tool";
  readonly element: HTMLDetailsElement;
  readonly #icon = html("span", { class: "agentnb-tool-icon" });
  readonly #name = html("code", { class: "agentnb-tool-name" });
  readonly #preview = html("span", { class: "agentnb-tool-preview", "aria-hidden": "true" });
  readonly #status = html("span", { class: "agentnb-tool-status" });
  readonly #time = html("span", { class: "agentnb-tool-time" });
  readonly #arguments = new BoundedText("Arguments");
  readonly #result = new BoundedText("Result");
  readonly #argumentsBox = section("Arguments", this.#arguments.element);
  readonly #resultBox = section("Result", this.#result.element);
  readonly #error = html("p", { class: "agentnb-tool-error" });
  #status_: ToolStatus | null = null;
  #part: ToolCall | null = null;
  #number = 0;

  constructor() {
    this.element = html(
      "details",
      { class: "agentnb-tool" },
      html(
        "summary",
        {},
        icon("chevron"),
        this.#icon,
        this.#name,
        this.#preview,
        this.#status,
        this.#time,
      ),
      html("div", { class: "agentnb-tool-body" }, this.#argumentsBox, this.#resultBox, this.#error),
    );
    this.element.addEventListener("toggle", () => this.#drawBody());
  }

  update(part: ToolCall, { elapsed, calls }: PartContext): void {
    this.#part = part;
    this.#number = calls;
    if (this.#status_ !== part.status) {
      this.#status_ = part.status;
      this.element.dataset.status = part.status;
      this.#icon.replaceChildren(icon(WORDS[part.status].icon));
      setText(this.#status, WORDS[part.status].word);
    }
    setText(this.#name, visibleText(part.name) || "tool");
    setText(this.#preview, preview(part.arguments));
    setText(this.#time, timeOf(part, elapsed));
    setScrollingText(this.#error, visibleText(part.error ?? ""));
    show(this.#error, part.error !== null);
    this.#drawBody();
  }

  dispose(): void {}

  /** A closed card is not rendered: its text may be megabytes. */
  #drawBody(): void {
    const part = this.#part;
    if (!part || !this.element.open) return;
    const whole = part.status !== "running";
    show(this.#argumentsBox, part.arguments !== "");
    show(this.#resultBox, part.result !== "");
    const given = whole || part.result ? indentJson(part.arguments) : part.arguments;
    const place = `run.tool_calls[${this.#number}]`;
    this.#arguments.update(given, part.arguments_more, `${place}.arguments`);
    const result = whole ? indentJson(part.result) : part.result;
    this.#result.update(result, part.result_more, `${place}.result`);
  }
}

function section(title: string, body: HTMLElement): HTMLElement {
  return html(
    "div",
    { class: "agentnb-tool-section" },
    html("div", { class: "agentnb-tool-heading" }, title),
    body,
  );
}

/** The arguments on one line, if they are short. */
function preview(text: string): string {
  const line = text.slice(0, 400).replace(/\s+/g, " ").trim();
  if (text.trim() === "" || line === "{}") return "";
  // Text after much white space is cut off, too.
  return visibleText(line.length > 120 || text.length > 400 ? `${line.slice(0, 120)}…` : line);
}

export function timeOf(part: ToolCall | Step, elapsed: number): string {
  if (part.started === null) return "";
  if (part.finished !== null) return briefDuration(part.finished - part.started);
  return part.status === "running" ? briefDuration(Math.max(0, elapsed - part.started)) : "";
}
