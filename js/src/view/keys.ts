// Keys pressed in a view must not reach the notebook, which would run or delete cells.

const ATTRIBUTE = "data-lm-suppress-shortcuts";
/** Events of typing that hosts handle. */
const TYPING = ["keydown", "keyup", "keypress", "paste", "copy", "cut", "beforeinput"];

/**
 * Disables the host's shortcuts while the focus is in a view.
 *
 * Jupyter looks for the attribute from the focused element upwards, and stops at the first element
 * with a shortcut: that may be the focused one, so each one needs it.
 */
export function keepKeys(view: HTMLElement): void {
  view.setAttribute(ATTRIBUTE, "true");
  view.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute(ATTRIBUTE, "true");
  });
}

/** Keeps what is typed into the fields of an element from the host. */
export function keepTyping(element: HTMLElement): void {
  for (const name of TYPING) element.addEventListener(name, (event) => event.stopPropagation());
}
