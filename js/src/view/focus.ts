// Focus tracking, and restoring the focus when a view is removed.

/** Return the focused element of the page or shadow root that contains an element. */
export function focused(element: Element): Element | null {
  const root = element.getRootNode();
  return root instanceof ShadowRoot || root instanceof Document ? root.activeElement : null;
}

/**
 * Track the notebook cell of a view that has the focus; return a function that focuses the cell.
 *
 * Call that function when the view is disposed, before elements are removed, so that the focus moves
 * to the cell instead of the top of the page.
 */
export function handingOver(view: HTMLElement): () => void {
  let cell: HTMLElement | null = null;
  view.addEventListener("focusin", () => {
    cell = view.closest<HTMLElement>(".jp-Cell");
  });
  view.addEventListener("focusout", ({ relatedTarget }) => {
    // Without a target the focused element was removed, e.g. the Stop button.
    if (relatedTarget instanceof Node && !view.contains(relatedTarget)) cell = null;
  });
  return () => {
    const lost = document.activeElement === document.body;
    if (lost || view.contains(focused(view))) cell?.focus({ preventScroll: true });
  };
}
