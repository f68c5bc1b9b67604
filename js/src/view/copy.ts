// Copy buttons, and their announcements.

import { focused } from "./focus.js";
import { html } from "./html.js";
import { icon } from "./icons.js";

const DONE_MS = 2000;
/** A live region that is created and filled at once is not announced. */
const SAY_MS = 60;

/**
 * Puts text on the clipboard, also on plain http, where the clipboard API is missing.
 *
 * `near` is the clicked element, near which the focus stays.
 */
export async function copyText(text: string, near: Element): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Denied, for example by a frame's policy; the older API may still work.
  }
  return copySelected(text, near);
}

function copySelected(text: string, near: Element): boolean {
  const before = focused(near);
  const area = html("textarea", { readonly: true, tabindex: "-1" });
  area.value = text;
  area.style.cssText = "position:fixed;top:0;left:0;width:1px;height:1px;opacity:0";
  document.body.append(area);
  area.focus({ preventScroll: true });
  area.select();
  let done = false;
  try {
    done = document.execCommand("copy");
  } catch {
    // Not supported.
  }
  area.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return done;
}

/** Announces a text to screen readers. */
export function announce(near: Element, text: string): void {
  // In nested views the outer one announces for both.
  const view = near.closest(".agentnb:not(.agentnb-compact)") ?? near.closest(".agentnb");
  if (!view) return;
  let status = view.querySelector(":scope > .agentnb-said");
  if (!status) {
    status = html("div", { class: "agentnb-said", role: "status" });
    view.append(status);
  }
  const region = status;
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, SAY_MS);
}

const resets = new WeakMap<HTMLElement, ReturnType<typeof setTimeout>>();

/** Copies text for a clicked button, which displays the result. */
export async function copyFrom(button: HTMLElement, text: string): Promise<void> {
  const name = button.dataset.name ?? button.title;
  button.dataset.name = name;
  const done = await copyText(text, button);
  const says = done ? "Copied" : "Copying is not allowed here";
  button.title = says;
  button.dataset.copied = String(done);
  announce(button, says);
  clearTimeout(resets.get(button));
  resets.set(
    button,
    setTimeout(() => {
      button.title = name;
      delete button.dataset.copied;
    }, DONE_MS),
  );
}

/** A button with an icon that copies what `text` returns. */
export function copyButton(name: string, text: () => string): HTMLButtonElement {
  const button = html(
    "button",
    {
      type: "button",
      class: "agentnb-button agentnb-icon-button",
      title: name,
      "aria-label": name,
    },
    icon("copy"),
    icon("completed"),
  );
  button.addEventListener("click", () => void copyFrom(button, text()));
  return button;
}

/** Copies the code block of the clicked button. */
export function copyCode(event: Event): void {
  const target = event.target instanceof Element ? event.target : null;
  const button = target?.closest<HTMLButtonElement>("button.agentnb-copy");
  const code = button?.parentElement?.querySelector(":scope > code");
  if (button && code) void copyFrom(button, (code.textContent ?? "").replace(/\n$/, ""));
}
