import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { MarkdownStream } from "../stream.js";
import { colour, HIGHLIGHT_LIMIT, Highlighter, MAX_COLOURED } from "./highlight.js";

let highlighter: Highlighter;
let told: HTMLElement[];

beforeEach(() => {
  vi.useFakeTimers();
  highlighter = new Highlighter();
  told = [];
});

afterEach(() => {
  highlighter.dispose();
  vi.useRealTimers();
  document.getSelection()?.removeAllRanges();
  document.body.replaceChildren();
});

function stream(): MarkdownStream {
  const element = document.createElement("div");
  document.body.append(element);
  return new MarkdownStream(element, (block) => {
    told.push(block);
    highlighter.add(block);
  });
}

function drawn(pieces: Iterable<string>): HTMLElement {
  const made = stream();
  for (const piece of pieces) {
    made.append(piece);
    made.draw();
  }
  made.finish();
  return made.element;
}

const idle = () => vi.advanceTimersByTime(2000);
const colours = (root: Element) => root.querySelectorAll("code [class^='agentnb-c-']").length;

const PY = "```py\ndef f():\n    return 1  # one\n```\n";
const DOCUMENTS = [
  PY,
  `${PY}\ntext\n`,
  `text\n\n${PY}\n${PY}end`,
  "- item\n  ```js\n  let a = 1;\n  let b = 2;\n  ```\n- next [x]\n  ```sql\n  select 1\n  ```\n\n[x]: https://x.example\n\nend",
  '> ```json\n> {"a": 1}\n> ```\n\n1. a\n\n   ```sh\n   echo $A\n   ```\n2. b',
  "```yaml\na: 1\nb: 2",
  "    let indented = 1;\n\nend",
];

describe("blocks are told of once, when they are done", () => {
  test.each(DOCUMENTS)("%j", (text) => {
    const once = drawn([text]);
    const blocks = [...once.querySelectorAll("pre")];
    expect(told).toEqual(blocks);
    told = [];
    const typed = drawn(text);
    expect(told).toEqual([...typed.querySelectorAll("pre")]);
    expect(new Set(told).size).toBe(told.length);
  });

  test("not while they grow", () => {
    const growing = stream();
    growing.append("```py\na = 1\nb = 2\n");
    growing.draw();
    growing.append("c = 3\n```\n");
    growing.draw();
    growing.draw(true);
    expect(told).toEqual([]);
    growing.append("\nmore\n\n");
    growing.draw();
    expect(told).toHaveLength(1);
  });
});

describe("colours", () => {
  test.each(DOCUMENTS)("are the same however it was cut, and leave the text alone: %j", (text) => {
    const plain = document.createElement("div");
    const uncoloured = new MarkdownStream(plain);
    uncoloured.append(text);
    uncoloured.finish();
    const once = drawn([text]);
    const typed = drawn(text);
    expect(once.innerHTML).toBe(plain.innerHTML);
    idle();
    expect(typed.innerHTML).toBe(once.innerHTML);
    expect(once.textContent).toBe(plain.textContent);
    if (/```\w/.test(text)) expect(colours(once)).toBeGreaterThan(0);
    else expect(colours(once)).toBe(0);
  });

  test("stay when a definition comes late", () => {
    const growing = stream();
    growing.append(`See [x].\n\n${PY}\n- [x]\n- b\n\nmore\n\n`);
    growing.draw();
    idle();
    const before = growing.element.querySelector("pre")?.innerHTML;
    expect(colours(growing.element)).toBeGreaterThan(0);
    growing.append("[x]: https://x.example\n\nend");
    growing.draw();
    growing.finish();
    idle();
    expect(growing.element.querySelectorAll("a")).toHaveLength(2);
    expect(growing.element.querySelector("pre")?.innerHTML).toBe(before);
  });

  test("wait for a reader who has selected something of the block", () => {
    const root = drawn([PY]);
    const text = root.querySelector("code")?.firstChild;
    if (!text) throw new Error("no code");
    document.getSelection()?.setBaseAndExtent(text, 0, text, 3);
    idle();
    expect(root.querySelector("code")?.firstChild).toBe(text);
    expect(String(document.getSelection())).toBe("def");
    document.getSelection()?.removeAllRanges();
    document.dispatchEvent(new Event("selectionchange"));
    idle();
    expect(colours(root)).toBeGreaterThan(0);
  });

  test.each([
    ["an unknown language", "```wat\nlet a = 1\n```"],
    ["none", "```\nlet a = 1\n```"],
    ["a block that is too long", `\`\`\`js\n${"let a = 1;\n".repeat(HIGHLIGHT_LIMIT / 10)}\`\`\``],
    ["code with characters that are not seen", "```js\nlet a\u202e = 1\n```"],
  ])("are not put on %s", (_name, text) => {
    const root = drawn([text]);
    idle();
    expect(colours(root)).toBe(0);
  });

  test("end after so many words", () => {
    const code = "1 ".repeat(MAX_COLOURED + 500);
    const made = colour(code, "js");
    expect(made?.childElementCount).toBe(MAX_COLOURED);
    expect(made?.textContent).toBe(code);
  });

  test("are text, whatever the code is", () => {
    const code = '<img src=x onerror="alert(1)">&lt;b&gt;';
    const root = drawn([`\`\`\`html\n${code}\n\`\`\``]);
    idle();
    expect(colours(root)).toBeGreaterThan(0);
    expect(root.querySelector("code")?.textContent).toBe(`${code}\n`);
    expect(root.querySelectorAll("code *:not(span)")).toHaveLength(0);
  });

  test("a view that is gone colours nothing", () => {
    const root = drawn([PY]);
    highlighter.dispose();
    idle();
    expect(colours(root)).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
