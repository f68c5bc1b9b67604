// A form for the answer to an approval, from its JSON schema.

import type { Approval } from "../protocol.js";
import { AnswerControl } from "./answer-control.js";
import { answerFields } from "./answer-schema.js";
import { count } from "./format.js";
import { html, setText } from "./html.js";
import { icon } from "./icons.js";
import { jsonMembers } from "./json.js";
import { keepTyping } from "./keys.js";

/** Maximum length of an answer that the kernel accepts. */
const MAX_LENGTH = 100_000;

export class AnswerForm {
  readonly element: HTMLElement;
  readonly #controls: AnswerControl[];
  /** The arguments of a tool call, which may have more members than the form has fields. */
  readonly #given: Map<string, string> | null;

  /** `send` is called when the user presses Enter in a field of one line. */
  constructor(approval: Approval, send: () => void) {
    this.#controls = answerFields(approval).map((field) => new AnswerControl(field));
    this.#given = approval.tool ? jsonMembers(approval.arguments) : null;
    const controls = this.#controls.map(({ element }) => element);
    const list = html("div", { class: "agentnb-answer-fields" }, ...controls);
    this.element = approval.tool ? this.#editor(list) : list;
    if (!approval.tool) {
      list.setAttribute("role", "group");
      list.setAttribute("aria-label", "Answer");
      list.addEventListener("keydown", (event) => sendOn(event, send));
    }
    // Not a form element, which a page could submit elsewhere.
    keepTyping(this.element);
  }

  /** Whether the user changed a field. */
  get changed(): boolean {
    return this.#controls.some(({ changed }) => changed);
  }

  /** Returns the answer as JSON, or null and marks the invalid fields. */
  answer(): string | null {
    const problems = this.#controls.map((control) => control.problem);
    const json = this.#json();
    if (json.length > MAX_LENGTH && !problems.some(Boolean)) {
      const lengths = this.#controls.map((control) => control.json?.length ?? 0);
      const longest = lengths.indexOf(Math.max(...lengths));
      problems[longest] = `The answer is longer than ${count(MAX_LENGTH)} characters.`;
    }
    this.#controls.forEach((control, at) => {
      control.report(problems[at] ?? "");
    });
    const invalid = this.#controls.find((_, at) => problems[at]);
    if (!invalid) return json;
    if (this.element instanceof HTMLDetailsElement) this.element.open = true;
    invalid.focus();
    return null;
  }

  #json(): string {
    const [first] = this.#controls;
    if (first?.field.name === null) return first.json ?? "";
    const members = new Map(this.#given);
    for (const { field, json } of this.#controls) {
      if (field.name === null) continue;
      if (json === undefined) members.delete(field.name);
      else members.set(field.name, json);
    }
    const texts = [...members].map(([name, json]) => `${JSON.stringify(name)}: ${json}`);
    return `{${texts.join(", ")}}`;
  }

  /** The fields in an element that is closed at first. */
  #editor(fields: HTMLElement): HTMLElement {
    const state = html("span", { class: "agentnb-answer-mark" });
    const summary = html("summary", {}, icon("chevron"), "Edit arguments", state);
    // The changes are sent even if the fields are closed again.
    fields.addEventListener("input", () => setText(state, this.changed ? "changed" : ""));
    return html("details", { class: "agentnb-answer-editor" }, summary, fields);
  }
}

/** Sends on Enter in a field of one line. */
function sendOn(event: KeyboardEvent, send: () => void): void {
  const { target } = event;
  if (event.key !== "Enter" || event.shiftKey || event.altKey || event.repeat) return;
  if (event.isComposing || event.keyCode === 229) return;
  if (!(target instanceof HTMLInputElement) || target.type === "checkbox") return;
  event.preventDefault();
  send();
}
