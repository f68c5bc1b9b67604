// The focus, and where it moves when a view is removed.

/** The focused element, in the page or in the shadow root of an element. */
export function focused(element: Element): Element | null {
  const root = element.getRootNode();
  return root instanceof ShadowRoot || root instanceof Document ? root.activeElement : null;
}

/**
 * Moves the focus to the notebook's cell if it is in a view that is removed.
 *
 * Called before anything is removed, so that the focus does not move to the top of the page.
 */
export function handingOver(view: HTMLElement): () => void {
  let cell: HTMLElement | null = null;
  view.addEventListener("focusin", () => {
    cell = view.closest<HTMLElement>(".jp-Cell");
  });
  view.addEventListener("focusout", ({ relatedTarget }) => {
    // Without a target the focused element was removed, such as the Stop button.
    if (relatedTarget instanceof Node && !view.contains(relatedTarget)) cell = null;
  });
  return () => {
    const lost = document.activeElement === document.body;
    if (lost || view.contains(focused(view))) cell?.focus({ preventScroll: true });
  };
}
