// The stylesheet, put once into each document or shadow root that shows a view.

const MARK = "agentnb";

/** Sees to it that an element's root has the stylesheet. */
export function putStyle(element: HTMLElement, text: string): void {
  const root = element.getRootNode();
  put(root instanceof ShadowRoot ? root : element.ownerDocument, text);
  if (element.isConnected || typeof ResizeObserver !== "function") return;
  // Hosts that fill an element before they show it don't tell yet where that will be.
  const watch = new ResizeObserver(() => {
    if (!element.isConnected) return;
    watch.disconnect();
    const shownIn = element.getRootNode();
    if (shownIn instanceof ShadowRoot) put(shownIn, text);
  });
  watch.observe(element);
}

/** What is there may be of fewer views, and is then the beginning of this one; or of more. */
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
