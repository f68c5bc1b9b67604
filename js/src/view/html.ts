// Helpers to create elements; text is never parsed as markup.

type Attributes = Record<string, string | number | boolean>;

/** Create an element; false attributes are omitted, true ones are empty. */
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

/** Set a node's text if it differs: live regions would announce it again. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Show or hide an element. */
export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Length in characters from which a text may overflow its box. */
const LONG = 400;

/** Set the text of a box that scrolls on overflow; a long text makes it focusable for keyboards. */
export function setScrollingText(box: HTMLElement, text: string): void {
  setText(box, text);
  if (text.length > LONG) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}
