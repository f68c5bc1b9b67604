// Making elements without markup: whatever text is given stays text.

type Attributes = Record<string, string | number | boolean>;

/** Makes an element; attributes that are false are left out, true ones are empty. */
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

/** Sets a node's text, unless it is that already: a live region would say it again. */
export function setText(node: Node, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Shows or hides an element. */
export function show(element: HTMLElement, visible: boolean): void {
  if (element.hidden === visible) element.hidden = !visible;
}

/** From here on, in characters, a text may be longer than its box. */
const LONG = 400;

/** Sets the text of a box that scrolls where it has to: the keyboard then has to reach it. */
export function setScrollingText(box: HTMLElement, text: string): void {
  setText(box, text);
  if (text.length > LONG) box.tabIndex = 0;
  else box.removeAttribute("tabindex");
}
