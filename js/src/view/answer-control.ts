// One field of a form for an answer: its label, its control, and what is wrong with the value.

import { visibleText } from "../markdown/visible.js";
import { type AnswerField, NUMBER } from "./answer-schema.js";
import { html, setText, show } from "./html.js";
import { indentJson, isJson, jsonString } from "./json.js";

const MAX_ROWS = 12;

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

// Random, because several copies of this module may be in a page.
const scope = Math.random().toString(36).slice(2, 8);
let made = 0;

export class AnswerControl {
  readonly element: HTMLElement;
  readonly field: AnswerField;
  readonly #control: Control;
  readonly #error: HTMLElement;
  readonly #initial: string;

  constructor(field: AnswerField) {
    this.field = field;
    made += 1;
    const id = `agentnb-answer-${scope}-${made}`;
    this.#control = controlOf(field);
    this.#control.id = id;
    this.#control.classList.add("agentnb-answer-control");
    this.#initial = this.#value;
    this.#error = html("p", { class: "agentnb-answer-error", id: `${id}-error`, hidden: true });
    const label = html("label", { for: id }, visibleText(field.label));
    if (field.kind === "json" && field.name !== null) label.append(mark("JSON"));
    if (this.#isRequired) {
      this.#control.setAttribute("aria-required", "true");
      if (field.name !== null) {
        const required = mark("required");
        required.setAttribute("aria-hidden", "true");
        label.append(required);
      }
    }
    const attributes = { class: "agentnb-answer-hint", id: `${id}-hint` };
    const hint = field.hint ? [html("p", attributes, visibleText(field.hint))] : [];
    const descriptions = [...hint, this.#error].map((element) => element.id);
    this.#control.setAttribute("aria-describedby", descriptions.join(" "));
    this.element = html(
      "div",
      { class: "agentnb-answer-field", "data-kind": field.kind },
      label,
      ...hint,
      this.#control,
      this.#error,
    );
    this.#control.addEventListener("input", () => this.report(""));
  }

  get changed(): boolean {
    return this.#value !== this.#initial || this.#control.validity.badInput;
  }

  /** What prevents the value from being sent; "" if nothing does. */
  get problem(): string {
    const { kind, limits, preset } = this.field;
    const { validity } = this.#control;
    if (validity.badInput) return kind === "date" ? "Enter a date." : "Enter a number.";
    if (!this.changed && preset !== undefined) return "";
    const value = this.#value;
    if (value.trim() === "" && (value === "" || kind === "json")) {
      return this.#isRequired ? "This is required." : "";
    }
    const isNumeric = kind === "number" || kind === "integer";
    if (isNumeric && !Number.isFinite(Number(value))) return "Enter a number.";
    if (kind === "json") return isJson(value) ? "" : "This is not valid JSON.";
    if (validity.rangeUnderflow) return `Enter ${limits.min} or more.`;
    if (validity.rangeOverflow) return `Enter ${limits.max} or less.`;
    if (validity.stepMismatch) {
      return limits.step === "1" ? "Enter a whole number." : `Enter a multiple of ${limits.step}.`;
    }
    return "";
  }

  /** The value as JSON; undefined if the answer has none. */
  get json(): string | undefined {
    const { kind, name, nullable, options, preset, required } = this.field;
    if (!this.changed && preset !== undefined) return preset;
    const value = this.#value;
    if (value.trim() === "" && (value === "" || kind === "json")) {
      if (nullable) return this.changed || required ? "null" : undefined;
      // A text that was removed, which the default must not replace.
      const isText = kind === "text" || kind === "area";
      return isText && this.changed && name !== null ? '""' : undefined;
    }
    switch (kind) {
      case "checkbox":
        return this.changed || required ? value : undefined;
      case "choice":
        return options[Number(value)];
      case "number":
      case "integer":
        // As it was entered, since numbers in the page are rounded.
        return NUMBER.test(value) ? value : JSON.stringify(Number(value));
      case "json":
        return value.trim();
      default:
        return JSON.stringify(value);
    }
  }

  /** Displays what is wrong with the value; "" removes it. */
  report(problem: string): void {
    setText(this.#error, problem);
    show(this.#error, problem !== "");
    if (problem) this.#control.setAttribute("aria-invalid", "true");
    else this.#control.removeAttribute("aria-invalid");
  }

  focus(): void {
    this.#control.focus();
  }

  get #value(): string {
    const control = this.#control;
    return control.type === "checkbox"
      ? String((control as HTMLInputElement).checked)
      : control.value;
  }

  get #isRequired(): boolean {
    const { kind, nullable, required } = this.field;
    return required && !nullable && kind !== "checkbox";
  }
}

function mark(word: string): HTMLElement {
  return html("span", { class: "agentnb-answer-mark" }, ` ${word}`);
}

/** The control of a field, with the initial value. */
function controlOf(field: AnswerField): Control {
  const { kind, preset, limits } = field;
  if (kind === "choice") return choiceOf(field);
  if (kind === "checkbox") {
    const box = html("input", { type: "checkbox" });
    box.checked = preset === "true";
    return box;
  }
  const isNumeric = kind === "number" || kind === "integer";
  const given = preset === "null" && field.nullable ? undefined : preset;
  const isOther = isNumeric || kind === "json";
  const value = isOther ? indentJson(given ?? "") : (jsonString(given) ?? "");
  if (kind !== "area" && kind !== "json") {
    const type = isNumeric ? "number" : kind;
    const input = html("input", { type, autocomplete: "off", dir: "auto", ...limits });
    input.value = value;
    // An input changes what it cannot display.
    if (input.value === value) return input;
  }
  const rows = Math.min(MAX_ROWS, Math.max(3, value.split("\n").length));
  const area = html("textarea", { rows, autocomplete: "off", dir: "auto" });
  if (kind === "json") area.spellcheck = false;
  area.value = value;
  return area;
}

function choiceOf({ options, preset, required, nullable }: AnswerField): HTMLSelectElement {
  const select = html("select");
  const chosen = preset === undefined ? -1 : options.indexOf(preset);
  const isNeeded = required && !nullable;
  if (!isNeeded || chosen < 0) {
    select.append(html("option", { value: "" }, isNeeded ? "Choose…" : "–"));
  }
  const words = options.map((option) => jsonString(option) ?? option);
  // A string may look like another value.
  const labels = new Set(words).size < words.length ? options : words;
  labels.forEach((label, at) => {
    select.append(html("option", { value: at }, visibleText(label)));
  });
  select.value = chosen < 0 ? "" : String(chosen);
  return select;
}
