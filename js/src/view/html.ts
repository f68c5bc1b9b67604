// Create elements without markup: text stays text.

type Attributes = Record<string, string | number | boolean>;

/** Creates an element; attributes that are false are omitted, true ones are empty. */
export function html<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  made.append(...children);
  return made;
}

/** Sets a node's text if it differs: a live region would announce it again. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows or hides an element. */
export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Length in characters from which a text may exceed its box. */
const LONG = 400;

/** Sets the text of a box, which is focusable if it may scroll. */
export function setScrollingText(box: HTMLElement, text: string): void {
  setText(box, text);
  if (text.length > LONG) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}
