// Elements that the views of a chat share.

import { html } from "../view/html.js";
import { type IconName, icon } from "../view/icons.js";

/** A button with an icon, and with text if `label` is visible. */
export function button(
  name: IconName,
  label: string,
  onClick: (event: MouseEvent) => void,
  options: { className?: string; words?: string } = {},
): HTMLButtonElement {
  const { className = "", words } = options;
  const made = html(
    "button",
    {
      type: "button",
      class: `${words === undefined ? "agentnb-chat-tool" : "agentnb-button"} ${className}`.trim(),
      "aria-label": label,
      title: label,
    },
    icon(name),
  );
  if (words !== undefined) made.append(html("span", {}, words));
  made.addEventListener("click", onClick);
  return made;
}

/** Renames a button. */
export function rename(made: HTMLButtonElement, label: string): void {
  if (made.title === label) return;
  made.title = label;
  made.setAttribute("aria-label", label);
}
