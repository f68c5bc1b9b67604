// Adds the stylesheet once to each document or shadow root that contains a view.

const MARK = "agentnb";

/** Add the stylesheet to the element's root, also if the element is attached later. */
export function putStyle(element: HTMLElement, text: string): void {
  const root = element.getRootNode();
  put(root instanceof ShadowRoot ? root : element.ownerDocument, text);
  if (element.isConnected || typeof ResizeObserver !== "function") return;
  // The root is unknown until the host attaches the element.
  const watch = new ResizeObserver(() => {
    if (!element.isConnected) return;
    watch.disconnect();
    const shownIn = element.getRootNode();
    if (shownIn instanceof ShadowRoot) put(shownIn, text);
  });
  watch.observe(element);
}

/** Existing styles may be a prefix of this text, from a page with fewer views, or contain it. */
function put(root: Document | ShadowRoot, text: string): void {
  const parent = root instanceof Document ? root.head : root;
  for (const there of parent.querySelectorAll<HTMLStyleElement>(`style[data-${MARK}]`)) {
    const known = there.textContent ?? "";
    if (known.startsWith(text)) return;
    if (text.startsWith(known)) {
      there.textContent = text;
      return;
    }
  }
  const style = document.createElement("style");
  style.dataset[MARK] = "";
  style.textContent = text;
  parent.append(style);
}
