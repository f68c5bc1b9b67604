// The stylesheet, added once to each document or shadow root with a view.

const MARK = "agentnb";

/** Adds the stylesheet to an element's root. */
export function putStyle(element: HTMLElement, text: string): void {
  const root = element.getRootNode();
  put(root instanceof ShadowRoot ? root : element.ownerDocument, text);
  if (element.isConnected || typeof ResizeObserver !== "function") return;
  // Some hosts attach an element only after it is rendered.
  const watch = new ResizeObserver(() => {
    if (!element.isConnected) return;
    watch.disconnect();
    const shownIn = element.getRootNode();
    if (shownIn instanceof ShadowRoot) put(shownIn, text);
  });
  watch.observe(element);
}

/** An existing stylesheet may be a prefix of this one, with fewer views, or an extension. */
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
