// Trees of content, and the one place that turns them into elements.
//
// Model text gets here only as text nodes and as values of the attributes listed below.

const TAGS = [
  "a",
  "blockquote",
  "br",
  "button",
  "code",
  "del",
  "em",
  "h1",
  "h2",
  "h3",
  "h4",
  "h5",
  "h6",
  "hr",
  "li",
  "ol",
  "p",
  "pre",
  "span",
  "strong",
  "table",
  "tbody",
  "td",
  "th",
  "thead",
  "tr",
  "ul",
  "div",
] as const;

const ATTRIBUTES = [
  "aria-label",
  "class",
  "data-lang",
  "data-src",
  "href",
  "rel",
  "referrerpolicy",
  "role",
  "start",
  "target",
  "title",
  "type",
  "scope",
  "tabindex",
] as const;

export type Tag = (typeof TAGS)[number];
export type Attributes = Partial<Record<(typeof ATTRIBUTES)[number], string>>;

export interface TextNode {
  text: string;
  dom?: Text;
  /** Number of characters at the beginning of `dom` that belong to another node. */
  kept?: number;
}

export interface ElementNode {
  tag: Tag;
  attributes: Attributes;
  children: TreeNode[];
  dom?: HTMLElement;
}

export type TreeNode = TextNode | ElementNode;

const allowedTags: ReadonlySet<string> = new Set(TAGS);
const allowedAttributes: ReadonlySet<string> = new Set(ATTRIBUTES);

export function element(tag: Tag, attributes: Attributes, children: TreeNode[]): ElementNode {
  return { tag, attributes, children };
}

/** Creates the DOM of a tree and stores it in the tree. */
export function mount(node: TreeNode): Node {
  if (!("tag" in node)) {
    node.dom = document.createTextNode(node.text);
    return node.dom;
  }
  if (!allowedTags.has(node.tag)) throw new TypeError(`not an allowed element: ${node.tag}`);
  const made = document.createElement(node.tag);
  for (const [name, value] of Object.entries(node.attributes)) setAttribute(made, name, value);
  for (const child of node.children) made.append(mount(child));
  node.dom = made;
  return made;
}

function setAttribute(on: HTMLElement, name: string, value: string): void {
  if (!allowedAttributes.has(name)) throw new TypeError(`not an allowed attribute: ${name}`);
  on.setAttribute(name, value);
}

/**
 * Changes the children of `parent` from `old` to `next`, touching only what differs.
 *
 * `before` is the first child that is not part of `old`, or null.
 */
export function patch(
  parent: Node,
  old: readonly TreeNode[],
  next: readonly TreeNode[],
  before: Node | null = null,
): void {
  const shared = Math.min(old.length, next.length);
  for (let i = 0; i < shared; i += 1) {
    const was = old[i];
    const will = next[i];
    if (was && will) patchNode(parent, was, will);
  }
  for (const gone of old.slice(shared)) {
    if (!cutToKept(gone) && gone.dom) parent.removeChild(gone.dom);
  }
  for (const fresh of next.slice(shared)) parent.insertBefore(mount(fresh), before);
}

function patchNode(parent: Node, was: TreeNode, will: TreeNode): void {
  if (was === will) return;
  if ("tag" in was) {
    if ("tag" in will && was.tag === will.tag && was.dom) {
      const { dom } = was;
      will.dom = dom;
      patchAttributes(dom, was.attributes, will.attributes);
      patch(dom, was.children, will.children);
      return;
    }
  } else if (!("tag" in will) && was.dom) {
    const { dom } = was;
    will.dom = dom;
    if (was.kept) will.kept = was.kept;
    if (was.text === will.text) return;
    // Appending keeps a selection in the text; replacing would collapse it.
    if (will.text.startsWith(was.text)) dom.appendData(will.text.slice(was.text.length));
    else dom.replaceData(was.kept ?? 0, was.text.length, will.text);
    return;
  }
  if (cutToKept(was)) parent.insertBefore(mount(will), was.dom?.nextSibling ?? null);
  else if (was.dom) parent.replaceChild(mount(will), was.dom);
}

/** Removes a text from the node that it shares with the one before; false if it has its own. */
function cutToKept(node: TreeNode): boolean {
  if ("tag" in node || !node.kept || !node.dom) return false;
  node.dom.deleteData(node.kept, node.text.length);
  return true;
}

function patchAttributes(dom: HTMLElement, was: Attributes, will: Attributes): void {
  for (const name of Object.keys(was)) if (!(name in will)) dom.removeAttribute(name);
  for (const [name, value] of Object.entries(will)) {
    if (was[name as keyof Attributes] !== value) setAttribute(dom, name, value);
  }
}
