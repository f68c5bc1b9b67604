// Where the focus is, and where it goes when a view goes away.

/** What has the focus, in the page or in the shadow root that an element stands in. */
export function focused(element: Element): Element | null {
  const root = element.getRootNode();
  return root instanceof ShadowRoot || root instanceof Document ? root.activeElement : null;
}

/**
 * Remembers the notebook's cell while a reader's focus is in a view.
 *
 * To be called, before anything is taken out of the view, by what ends it: a reader who was in there
 * goes on in the cell then, not at the top of the page.
 */
export function handingOver(view: HTMLElement): () => void {
  let cell: HTMLElement | null = null;
  view.addEventListener("focusin", () => {
    cell = view.closest<HTMLElement>(".jp-Cell");
  });
  view.addEventListener("focusout", ({ relatedTarget }) => {
    // Without a target the focus was not moved: what had it went away, the Stop button say.
    if (relatedTarget instanceof Node && !view.contains(relatedTarget)) cell = null;
  });
  return () => {
    const lost = document.activeElement === document.body;
    if (lost || view.contains(focused(view))) cell?.focus({ preventScroll: true });
  };
}
