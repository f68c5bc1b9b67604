// GitHub's tables come out the same however an answer is cut, alone and inside other blocks.

import MarkdownIt from "markdown-it";
import { describe, expect, test } from "vitest";
import { MarkdownStream } from "./stream.js";

const TABLES: Record<string, string> = {
  "with text around it": "Before.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nAfter.\n",
  "with alignments": "| l | c | r | n |\n|:--|:-:|--:|---|\n| 1 | 2 | 3 | 4 |\n",
  "without pipes at the ends": "a | b\n-|-\n1 | 2\n3 | 4\n",
  "of one column": "| a |\n|---|\n| 1 |\n",
  "without rows": "| a | b |\n|---|---|\n",
  "with escaped pipes": "| a \\| b | `c \\| d` |\n|---|---|\n| x \\| y | **e \\| f** |\n",
  "with marks in its cells":
    "| **a** | [b](https://b.example/) |\n|---|---|\n| `1` | *2* ~~3~~ |\n",
  "with too few cells": "| a | b | c |\n|---|---|---|\n| 1 |\n| 1 | 2 |\n",
  "with too many cells": "| a | b |\n|---|---|\n| 1 | 2 | 3 | 4 |\n",
  "with a head that does not fit": "| a | b |\n|---|\n| 1 | 2 |\n",
  "broken by another block": "| a | b |\n|---|---|\n| 1 | 2 |\n> quoted\n\nText\n",
  "ended by an empty line": "| a | b |\n|---|---|\n| 1 | 2 |\nlast row\n\nno row\n",
  "under a paragraph": "Some text\n| a | b |\n|---|---|\n| 1 | 2 |\n",
  "in a list": "- item\n\n  | a | b |\n  |---|---|\n  | 1 | 2 |\n\n- next\n",
  "in a quote": "> | a | b |\n> |---|---|\n> | 1 | 2 |\n\nAfter.\n",
  "with lines that end in CR and LF": "| a | b |\r\n|---|---|\r\n| 1 | 2 |\r\n",
  "one after the other": "| a |\n|---|\n| 1 |\n\n| b |\n|---|\n| 2 |\n",
  "with other letters": "| ä | 表 |\n|---|:-:|\n| 😀 | עברית |\n",
};

function drawn(pieces: Iterable<string>): string {
  const stream = new MarkdownStream(document.createElement("div"));
  for (const piece of pieces) {
    stream.append(piece);
    stream.draw();
  }
  stream.finish();
  return stream.element.innerHTML;
}

/** The cells' texts and alignments, row by row. */
function rows(html: string): string[][] {
  const page = new DOMParser().parseFromString(html, "text/html");
  return [...page.querySelectorAll("tr")].map((row) =>
    [...row.querySelectorAll<HTMLElement>("th, td")].map((cell) => {
      // Ours says it by a class: styles are not among what may be made.
      const align = cell.style.textAlign || cell.className.replace("agentnb-", "");
      return `${cell.tagName} ${align} ${cell.textContent?.trim()}`;
    }),
  );
}

describe.each(Object.entries(TABLES))("a table %s", (_, markdown) => {
  const once = drawn([markdown]);

  test("has the cells that it should have", () => {
    const reference = new MarkdownIt({ html: false }).render(markdown);
    // Where an address is shown beside a link, it is not part of what the reference has.
    const plain = once.replace(/<span class="agentnb-host">.*?<\/span>/g, "");
    expect(rows(plain)).toEqual(rows(reference));
  });

  test("is the same however it is cut", () => {
    expect(drawn(markdown)).toBe(once);
    for (let first = 1; first < markdown.length; first += 1) {
      expect(drawn([markdown.slice(0, first), markdown.slice(first)])).toBe(once);
    }
    for (const size of [2, 3, 5, 7, 11]) {
      const pieces = markdown.match(new RegExp(`.{1,${size}}`, "gs")) ?? [];
      expect(drawn(pieces)).toBe(once);
    }
  });
});
