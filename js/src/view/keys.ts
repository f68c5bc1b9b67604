// Keys that are pressed in a view are its own: a notebook would run or delete cells upon them.

const ATTRIBUTE = "data-lm-suppress-shortcuts";

/**
 * Keeps the host's shortcuts from firing while the focus is in a view.
 *
 * Jupyter looks for the attribute from the focused element upwards and stops at the first element
 * that a shortcut is meant for: that may be the focused one, so each one has to bear it itself.
 */
export function keepKeys(view: HTMLElement): void {
  view.setAttribute(ATTRIBUTE, "true");
  view.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute(ATTRIBUTE, "true");
  });
}
