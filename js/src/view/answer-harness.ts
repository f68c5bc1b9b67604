// What the tests of forms for answers to approvals have in common.

import type { Approval } from "../protocol.js";
import { find, open, source } from "./harness.js";

export type Field = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export const all = <T extends Element = HTMLElement>(selector: string): T[] => [
  ...document.querySelectorAll<T>(selector),
];
export const controls = () => all<Field>(".agentnb-answer-control");
export const control = (at = 0) => controls()[at] as HTMLInputElement;
export const labels = () => all(".agentnb-answer-field > label").map((label) => label.textContent);
export const errors = () => all(".agentnb-answer-error").map((error) => error.textContent);
export const types = () => controls().map((field) => field.type);

export const requested = (schema: unknown, changes: Partial<Approval> = {}): Approval => ({
  approval_id: "a",
  message: "How many?",
  tool: null,
  arguments: "",
  key: "1",
  answer_schema: typeof schema === "string" ? schema : JSON.stringify(schema),
  expires_at: null,
  ...changes,
});
export const paused = (...approvals: Approval[]) => ({
  status: "paused" as const,
  can_decide: true,
  approvals,
});
export const openForm = (schema: unknown, changes: Partial<Approval> = {}) =>
  open(paused(requested(schema, changes)));
export const object = (properties: object, more: object = {}) => ({
  type: "object",
  properties,
  ...more,
});

export function enter(at: number, value: string): void {
  const field = control(at);
  if (field.type === "checkbox") field.checked = value === "true";
  else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}
export function choose(at: number, label: string): void {
  const select = controls()[at] as HTMLSelectElement;
  const option = [...select.options].find((one) => one.text === label);
  if (!option) throw new Error(`there is no option ${label}`);
  enter(at, option.value);
}
export function press(field: Field, init: KeyboardEventInit = {}): void {
  const event = new KeyboardEvent("keydown", {
    key: "Enter",
    bubbles: true,
    cancelable: true,
    ...init,
  });
  field.dispatchEvent(event);
}
/** Approves, and returns the payload of the last decision; null if nothing was sent. */
export function send(): string | null | undefined {
  const before = source.decisions.length;
  find(".agentnb-approve").click();
  return source.decisions.length > before ? source.payloads.at(-1) : null;
}
