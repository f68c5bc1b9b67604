// A long paragraph is taken apart while it grows, and ends as if it had come at once.

import { describe, expect, test } from "vitest";
import { MarkdownStream } from "./stream.js";

const SENTENCE =
  "Some **bold** words, `code` and a [link](https://example.org/a_b), 2 * 3, snake_case [1]. ";
const LONG = SENTENCE.repeat(30).trim();

function grown(text: string, size: number, each?: (element: HTMLElement) => void): HTMLElement {
  const stream = new MarkdownStream(document.createElement("div"));
  for (let at = 0; at < text.length; at += size) {
    stream.append(text.slice(at, at + size));
    stream.draw();
    each?.(stream.element);
  }
  stream.finish();
  return stream.element;
}

describe.each([
  ["alone", ""],
  ["made a heading by the line under it", "\n===\n\nMore."],
  ["whose last line is a table's head", " | more\n|---|---|\n| a | b |\n\nMore."],
  ["with a table after it", "\na | b\n|---|---|\n| 1 | 2 |\n"],
  ["with a list after it", "\n- one\n- two"],
  ["with a hard break", "\\\nand  \nmore"],
  ["with a definition that comes later", "\n\n[1]: https://example.org/one 'One'\n\nMore."],
  ["with an open mark", " and *then [some `more"],
])("a long paragraph %s", (_name, end) => {
  test.each([7, 40, 1000])("in pieces of %i characters", (size) => {
    for (const text of [
      LONG + end,
      LONG.replaceAll("] ", "]\n") + end,
      LONG.replaceAll(". ", ".\n") + end,
    ])
      expect(grown(text, size).innerHTML).toBe(grown(text, text.length).innerHTML);
  });
});

test("what is done of it is left alone", () => {
  const first: Element[] = [];
  const records: MutationRecord[] = [];
  const observer = new MutationObserver(() => {});
  grown(LONG, 40, (element) => {
    const bold = element.querySelector("strong");
    if (!bold || element.textContent.length < 600) return;
    if (first.length === 0)
      observer.observe(bold, { subtree: true, childList: true, characterData: true });
    first.push(bold);
    records.push(...observer.takeRecords());
  });
  observer.disconnect();
  expect(first.length).toBeGreaterThan(20);
  expect(new Set(first).size).toBe(1);
  expect(records).toEqual([]);
});

test("its text is one node again in the end", () => {
  const text = "Plain words without any mark. ".repeat(60).trim();
  expect(grown(text, 40).firstChild?.childNodes).toHaveLength(1);
});
