// Keyboard events in a view must not trigger shortcuts of the notebook, such as deleting cells.

const ATTRIBUTE = "data-lm-suppress-shortcuts";

/**
 * Suppress the host's shortcuts while the focus is in a view.
 *
 * Jupyter looks for the attribute from the focused element upwards and stops at the first element
 * that matches a shortcut's selector. That may be the focused element, so each one needs it.
 */
export function keepKeys(view: HTMLElement): void {
  view.setAttribute(ATTRIBUTE, "true");
  view.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute(ATTRIBUTE, "true");
  });
}
