import { expect, test, vi } from "vitest";
import { html } from "./html.js";
import { keepKeys, keepTyping } from "./keys.js";

test("whatever has the focus bears the attribute itself, also what is added later", () => {
  const view = html("div");
  document.body.append(view);
  keepKeys(view);
  expect(view.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
  const button = html("button");
  view.append(button);
  expect(button.hasAttribute("data-lm-suppress-shortcuts")).toBe(false);
  button.focus();
  expect(button.getAttribute("data-lm-suppress-shortcuts")).toBe("true");
});

test("what is typed into a field does not reach the host", () => {
  const field = html("input");
  const fields = html("div", {}, field);
  const host = html("div", {}, fields);
  keepTyping(fields);
  const received = vi.fn();
  for (const name of ["keydown", "paste", "click"]) host.addEventListener(name, received);
  for (const name of ["keydown", "paste"]) field.dispatchEvent(new Event(name, { bubbles: true }));
  expect(received).not.toHaveBeenCalled();
  field.click();
  expect(received).toHaveBeenCalledOnce();
});
