import { expect, test } from "vitest";
import { html } from "./html.js";
import { keepKeys } from "./keys.js";

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
