// Moves settled nodes out of the tail of a growing block.

import type { TreeNode } from "./dom.js";

/**
 * Remove `done` from the start of `shown` and let it take over the DOM; return false where they
 * differ.
 *
 * The last text of `done` may be the first half of a text. Both halves share one DOM node, which
 * renders faster than several, unless `apart` is set.
 */
export function takeShown(shown: TreeNode[], done: readonly TreeNode[], apart: boolean): boolean {
  const last = done.length - 1;
  const whole = done.every((node, i) => i === last || isSame(node, shown[i]));
  const end = done[last];
  const here = shown[last];
  if (!whole || !end || !here || "tag" in here || "tag" in end) return false;
  if (!here.dom || !here.text.startsWith(end.text)) return false;
  if (apart) splitKept(shown);
  const at = (here.kept ?? 0) + end.text.length;
  const rest = { text: here.text.slice(end.text.length), dom: here.dom, kept: at };
  for (const [i, node] of done.entries()) adopt(node, shown[i]);
  shown.splice(0, done.length, rest);
  if (apart) splitKept(shown);
  return true;
}

/** Give the first node a DOM node of its own. By splitting, which preserves a selection. */
export function splitKept([first]: readonly TreeNode[]): void {
  if (!first || "tag" in first || !first.kept || !first.dom) return;
  first.dom = first.dom.splitText(first.kept);
  first.kept = 0;
}

export function isSame(one: TreeNode, other: TreeNode | undefined): boolean {
  if (!other) return false;
  if (!("tag" in one) || !("tag" in other))
    return !("tag" in one) && !("tag" in other) && one.text === other.text;
  return (
    one.tag === other.tag &&
    JSON.stringify(one.attributes) === JSON.stringify(other.attributes) &&
    one.children.length === other.children.length &&
    one.children.every((child, i) => isSame(child, other.children[i]))
  );
}

function adopt(node: TreeNode, from: TreeNode | undefined): void {
  if ("tag" in node) {
    if (!from || !("tag" in from)) return;
    if (from.dom) node.dom = from.dom;
    node.children.forEach((child, i) => {
      adopt(child, from.children[i]);
    });
  } else if (from && !("tag" in from) && from.dom) {
    node.dom = from.dom;
  }
}
