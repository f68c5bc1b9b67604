// Code that is done, moved out of the text that is still drawn anew.

import { patch, type TreeNode } from "./dom.js";

/** Moves lines of code that are done in front of what is shown of the tail, and returns the rest. */
export function moveCode(
  body: HTMLElement,
  nodes: readonly TreeNode[],
  done: readonly TreeNode[],
): TreeNode[] {
  const [shown, ...others] = nodes;
  const [first, ...further] = done;
  if (shown && !("tag" in shown) && shown.dom && first && others.length + further.length === 0) {
    // The common case, and the reason for this function: nothing but text, which only moves over.
    if (!("tag" in first) && shown.text.startsWith(first.text)) {
      lastText(body, shown.dom).appendData(first.text);
      shown.dom.deleteData(0, first.text.length);
      shown.text = shown.text.slice(first.text.length);
      return [shown];
    }
  }
  patch(body, nodes, []);
  for (const node of done) {
    if ("tag" in node) patch(body, [], [node]);
    else lastText(body, null).appendData(node.text);
  }
  return [];
}

/** The text right before a node, or an empty one that is put there. */
function lastText(parent: Node, before: Node | null): Text {
  const last = before ? before.previousSibling : parent.lastChild;
  if (last instanceof Text) return last;
  const made = document.createTextNode("");
  parent.insertBefore(made, before);
  return made;
}
