// Reuse the elements of finished nodes that are rendered already.

import type { TreeNode } from "./dom.js";

/**
 * Removes from `rendered` the nodes that equal `done`, which get their elements; false if they differ.
 *
 * The last text of `done` may be the first half of one. Both stay one text node, which is faster,
 * unless they have to be `apart`.
 */
export function reuseElements(
  rendered: TreeNode[],
  done: readonly TreeNode[],
  apart: boolean,
): boolean {
  const last = done.length - 1;
  const whole = done.every((node, i) => i === last || isSame(node, rendered[i]));
  const end = done[last];
  const here = rendered[last];
  if (!whole || !end || !here || "tag" in here || "tag" in end) return false;
  if (!here.dom || !here.text.startsWith(end.text)) return false;
  if (apart) splitText(rendered);
  const at = (here.kept ?? 0) + end.text.length;
  const rest = { text: here.text.slice(end.text.length), dom: here.dom, kept: at };
  for (const [i, node] of done.entries()) adopt(node, rendered[i]);
  rendered.splice(0, done.length, rest);
  if (apart) splitText(rendered);
  return true;
}

/** Gives the first node a text node of its own, by splitting, which keeps a selection. */
export function splitText([first]: readonly TreeNode[]): void {
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
