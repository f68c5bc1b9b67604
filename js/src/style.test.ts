import { beforeEach, expect, test } from "vitest";
import { putStyle } from "./style.js";

const FIRST = ".agentnb { color: red; }";
const ALL = `${FIRST}.agentnb-chat { color: blue; }`;

function texts(root: ParentNode): (string | null)[] {
  return [...root.querySelectorAll("style")].map((style) => style.textContent);
}

beforeEach(() => {
  document.head.replaceChildren();
  document.body.replaceChildren();
});

test("is there once, however many views want it", () => {
  putStyle(document.body, FIRST);
  putStyle(document.body, FIRST);
  expect(texts(document)).toEqual([FIRST]);
});

test("is put again where a page threw it out", () => {
  putStyle(document.body, FIRST);
  document.head.replaceChildren();
  putStyle(document.body, FIRST);
  expect(texts(document)).toEqual([FIRST]);
});

test.each([
  [FIRST, ALL],
  [ALL, FIRST],
])("that of more views takes the place of its beginning, in either order", (one, other) => {
  putStyle(document.body, one);
  putStyle(document.body, other);
  expect(texts(document)).toEqual([ALL]);
});

test("another version's, and other people's, are left alone", () => {
  document.head.append(Object.assign(document.createElement("style"), { textContent: "a {}" }));
  putStyle(document.body, ".agentnb { color: green; }");
  putStyle(document.body, ALL);
  expect(texts(document)).toEqual(["a {}", ".agentnb { color: green; }", ALL]);
});

test("a shadow root has its own", () => {
  const host = document.createElement("div");
  document.body.append(host);
  const root = host.attachShadow({ mode: "open" });
  const inside = document.createElement("div");
  root.append(inside);
  putStyle(inside, FIRST);
  expect([texts(root), texts(document)]).toEqual([[FIRST], []]);
});
