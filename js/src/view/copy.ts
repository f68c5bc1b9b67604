// Copying, and saying so.

import { focused } from "./focus.js";
import { html } from "./html.js";
import { icon } from "./icons.js";

const DONE_MS = 2000;
/** A region that is made and filled at once goes unheard. */
const SAY_MS = 60;

/**
 * Puts text on the clipboard, also on plain http, where the newer way there is closed.
 *
 * `near` is what was clicked: the focus stays where it is about there.
 */
export async function copyText(text: string, near: Element): Promise<boolean> {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // Refused, say by a frame's policy: the older way may still be open.
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
    // Not there at all.
  }
  area.remove();
  if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  return done;
}

/** Tells a reader of the screen something, without moving there. */
export function announce(near: Element, text: string): void {
  // One view may stand in another, and the outer one speaks for both.
  const view = near.closest(".agentnb:not(.agentnb-compact)") ?? near.closest(".agentnb");
  if (!view) return;
  let said = view.querySelector(":scope > .agentnb-said");
  if (!said) {
    said = html("div", { class: "agentnb-said", role: "status" });
    view.append(said);
  }
  const region = said;
  region.textContent = "";
  setTimeout(() => {
    region.textContent = text;
  }, SAY_MS);
}

const resets = new WeakMap<HTMLElement, ReturnType<typeof setTimeout>>();

/** Copies text for a button that was clicked, and shows on it what came of that. */
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

/** Copies the code block whose button was clicked. */
export function copyCode(event: Event): void {
  const target = event.target instanceof Element ? event.target : null;
  const button = target?.closest<HTMLButtonElement>("button.agentnb-copy");
  const code = button?.parentElement?.querySelector(":scope > code");
  if (button && code) void copyFrom(button, (code.textContent ?? "").replace(/\n$/, ""));
}
