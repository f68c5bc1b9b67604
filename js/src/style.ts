// The stylesheet, put once into each document or shadow root that shows a view.

import text from "./styles.css?inline";

const styles = new WeakMap<Document | ShadowRoot, HTMLStyleElement>();

/** Sees to it that an element's root has the stylesheet. */
export function putStyle(element: HTMLElement): void {
  const root = element.getRootNode();
  put(root instanceof ShadowRoot ? root : element.ownerDocument);
  if (element.isConnected || typeof ResizeObserver !== "function") return;
  // Hosts that fill an element before they show it don't tell yet where that will be.
  const watch = new ResizeObserver(() => {
    if (!element.isConnected) return;
    watch.disconnect();
    const shownIn = element.getRootNode();
    if (shownIn instanceof ShadowRoot) put(shownIn);
  });
  watch.observe(element);
}

function put(root: Document | ShadowRoot): void {
  if (styles.get(root)?.isConnected) return;
  const style = document.createElement("style");
  style.textContent = text;
  (root instanceof Document ? root.head : root).append(style);
  styles.set(root, style);
}
