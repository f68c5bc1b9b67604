// What a reader sees while text arrives: nothing that was finished moves, nothing unfinished shows.

import { describe, expect, test } from "vitest";
import { MarkdownStream } from "./stream.js";

function stream(): MarkdownStream {
  return new MarkdownStream(document.createElement("div"));
}

/** Draws character by character and calls back after each. */
function type(text: string, each: (element: HTMLElement, upTo: number) => void): HTMLElement {
  const typed = stream();
  for (let at = 0; at < text.length; at += 1) {
    typed.append(text[at] ?? "");
    typed.draw();
    each(typed.element, at + 1);
  }
  typed.finish();
  return typed.element;
}

/** The changes that a function makes inside a node. */
function changesIn(node: Node, act: () => void): MutationRecord[] {
  const observer = new MutationObserver(() => {});
  observer.observe(node, { subtree: true, childList: true, characterData: true, attributes: true });
  act();
  const records = observer.takeRecords();
  observer.disconnect();
  return records;
}

const REST =
  "\n\nMore *text* to come.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n```\ncode\n```\nend";

describe("what is finished is left alone", () => {
  test.each([
    ["a paragraph", "First **bold** words.\n\nS", "p"],
    ["a heading", "# First\n\nS", "h1"],
    ["a list", "- a\n- b\n\nS", "ul"],
    ["a table", "| a |\n|---|\n| 1 |\n\nS", "table"],
    ["code", "```\na\n```\nS", "pre"],
    ["a quotation", "> a\n\nS", "blockquote"],
    ["an item of an open list", "- **a**\n- b\n- c", "li"],
    ["the first item of a list that turns loose later", "- **a**\n- b\n", "li"],
    ["a row of an open table", "| a |\n|---|\n| **1** |\n| 2 |\n", "tbody tr"],
    ["the head of an open table", "| **a** |\n|---|\n| 1 |\n| 2 |\n", "thead"],
  ])("%s", (_name, start, selector) => {
    const growing = stream();
    growing.append(start);
    growing.draw();
    const first = growing.element.querySelector(selector);
    if (!first) throw new Error("not drawn");
    const records = changesIn(first, () => {
      for (const character of REST) {
        growing.append(character);
        growing.draw();
      }
      growing.finish();
    });
    expect(records).toEqual([]);
    expect(growing.element.contains(first)).toBe(true);
  });

  test("text that grows keeps its node, so that a selection in it stays", () => {
    const growing = stream();
    growing.append("Some words");
    growing.draw();
    const node = growing.element.querySelector("p")?.firstChild;
    for (const more of [" and more", " and **bold", "** and the end"]) {
      growing.append(more);
      growing.draw();
    }
    expect(growing.element.querySelector("p")?.firstChild).toBe(node);
    expect(growing.element.textContent).toBe("Some words and more and bold and the end");
  });

  test("so does code", () => {
    const growing = stream();
    growing.append("```py\nfirst = 1\nsecond");
    growing.draw();
    const node = growing.element.querySelector("code")?.firstChild;
    for (let i = 0; i < 50; i += 1) {
      growing.append(` = ${i}\nline`);
      growing.draw();
    }
    growing.append("\n```\nend");
    growing.finish();
    expect(growing.element.querySelector("code")?.firstChild).toBe(node);
    expect(growing.element.querySelector("code")?.childNodes).toHaveLength(1);
  });
});

describe("definitions that come late", () => {
  test("reach what was drawn before, and nothing else", () => {
    const growing = stream();
    growing.append(
      "See [docs].\n\nOther text.\n\n- item [docs]\n- next\n\n| [docs] |\n|---|\n| [docs] |\n| x |\n\nend\n\n",
    );
    growing.draw();
    const other = growing.element.querySelectorAll("p")[1];
    if (!other) throw new Error("not drawn");
    expect(growing.element.querySelector("a")).toBeNull();
    const records = changesIn(other, () => {
      growing.append("[docs]: https://docs.example/path\n\nAfter.");
      growing.draw();
    });
    expect(records).toEqual([]);
    const links = [...growing.element.querySelectorAll("a")];
    expect(links.map((a) => a.href)).toEqual(Array(4).fill("https://docs.example/path"));
    growing.finish();
    expect([...growing.element.querySelectorAll("a")]).toEqual(links);
  });

  test("are not used before they are whole", () => {
    const seen = new Set<string>();
    type("> [a] and\n>\n> [a]: https://a.example/long/path\n>\n> more\n\nend", (element) => {
      for (const a of element.querySelectorAll("a")) seen.add(a.href);
    });
    expect([...seen]).toEqual(["https://a.example/long/path"]);
  });
});

describe("what is unfinished", () => {
  test("a half-arrived link is never clickable", () => {
    const text =
      "A [link](https://a.example/b_c?d=e) <https://b.example/x> [r] ![i](https://c.example/i.png) " +
      '[with **bold**](<https://d.example/y> "title").\n\n[r]: https://e.example/z\n\nend';
    const seen = new Set<string>();
    const collect = (element: HTMLElement) => {
      for (const a of element.querySelectorAll("a")) seen.add(a.href);
      for (const image of element.querySelectorAll<HTMLElement>("[data-src]")) {
        seen.add(image.dataset.src ?? "");
      }
    };
    const once = type(text, collect);
    const final = new Set<string>();
    for (const a of once.querySelectorAll("a")) final.add(a.href);
    for (const image of once.querySelectorAll<HTMLElement>("[data-src]")) {
      final.add(image.dataset.src ?? "");
    }
    expect(final.size).toBe(5);
    expect(seen).toEqual(final);
  });

  test.each([
    ["emphasis", "Some **bold**, *slanted*, __strong__, _weak_ and ***both*** words", /[*_]/],
    ["emphasis across words", "It is **really very important** to *read on and on* here", /[*_]/],
    ["struck text", "Some ~~old and wrong~~ words", /~/],
    ["code", "Run `make all` and ``a ` b`` now", /`(?! b)/],
    [
      "links",
      "See [the **docs**](https://x.example/a(b)c) and ![alt](https://x.example/i.png) now",
      /[[\](]|https/,
    ],
    ["a table", "Text:\n\n| a | b |\n|---|--:|\n| 1 | 2 |\n| 3 | 4 |", /\||--/],
    ["a list", "Text:\n\n- one\n- two\n  - three\n\n1. four\n2. five", /-|\d/],
    ["tasks", "- [x] done\n- [ ] to do", /[[\]x]/],
    ["a heading", "# One\n\n## Two\n\ntext", /#/],
    ["a fence", "```python\nx = 1\n```\n\ntext", /`/],
  ])("%s never shows its marks", (_name, text, marks) => {
    type(text, (element) => expect(element.textContent).not.toMatch(marks));
  });

  test("no heading or rule flashes where a list or emphasis is coming", () => {
    for (const text of [
      "Text\n- item",
      "Text\n\n- item",
      "Text\n***bold*** text",
      "Text\n--- no rule",
    ]) {
      type(text, (element) => expect(element.querySelector("h1, h2, hr")).toBeNull());
    }
  });

  test("text that rests shows everything, and may still go on", () => {
    const growing = stream();
    growing.append("A *b\n\n---");
    growing.draw();
    expect(growing.element.innerHTML).toBe("<p>A *b</p>");
    growing.draw(true);
    expect(growing.element.innerHTML).toBe("<p>A *b</p><hr>");
    growing.append("x");
    growing.draw();
    growing.finish();
    expect(growing.element.innerHTML).toBe("<p>A *b</p><p>---x</p>");
  });
});
