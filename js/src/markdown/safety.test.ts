// Model text against the page: what may become of it, and what never does.

import { describe, expect, test } from "vitest";
import pathological from "../../../tests/conformance/markdown_pathological.json" with {
  type: "json",
};
import attacks from "../../../tests/conformance/model_output_attacks.json" with { type: "json" };
import { element, mount } from "./dom.js";
import { MARKDOWN_LIMIT, MarkdownStream } from "./stream.js";

function drawn(pieces: readonly string[], each?: (element: HTMLElement) => void): HTMLElement {
  const stream = new MarkdownStream(document.createElement("div"));
  for (const piece of pieces) {
    stream.append(piece);
    stream.draw();
    each?.(stream.element);
  }
  stream.finish();
  each?.(stream.element);
  return stream.element;
}

const TAGS =
  /^(?:A|BLOCKQUOTE|BR|BUTTON|CODE|DEL|EM|H[1-6]|HR|LI|OL|P|PRE|SPAN|STRONG|TABLE|TBODY|TD|TH|THEAD|TR|UL)$/;
const ATTRIBUTES =
  /^(?:aria-label|class|data-lang|data-src|href|referrerpolicy|rel|role|scope|start|tabindex|target|title|type)$/;

function check(root: HTMLElement): void {
  for (const made of root.querySelectorAll("*")) {
    expect(made.tagName).toMatch(TAGS);
    for (const { name, value } of made.attributes) {
      expect(name).toMatch(ATTRIBUTES);
      if (name === "class") expect(value).toMatch(/^agentnb-[a-z-]+$/);
      if (name === "href") expect(value).toMatch(/^(?:https?:\/\/[^@]*|mailto:.*)$/);
      if (name === "data-src") expect(value).toMatch(/^https?:\/\//);
      if (name === "data-lang") expect(value).toMatch(/^[\p{L}\p{N}+#._-]+$/u);
    }
    if (made.tagName === "A") expect(made.getAttribute("rel")).toBe("noopener noreferrer nofollow");
  }
}

const GENERATED: Record<string, string> = {
  '"a"*10_000_000': "a".repeat(10_000_000),
  '"> "*500_000+"x"': `${"> ".repeat(500_000)}x`,
  '\'{"a":\'*10_000+"1"+"}"*10_000': `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
  '"|"+"a|"*5000+"\\n|"+"-|"*5000+"\\n"+("|"+"b|"*5000+"\\n")*2': `|${"a|".repeat(5000)}\n|${"-|".repeat(5000)}\n${`|${"b|".repeat(5000)}\n`.repeat(2)}`,
  '"```python\\n"+"("*100_000+"\\n```"': `\`\`\`python\n${"(".repeat(100_000)}\n\`\`\``,
};

function piecesOf(markdown: string | string[]): string[] {
  if (Array.isArray(markdown)) return markdown;
  if (!markdown.startsWith("GEN:")) return [markdown];
  const text = GENERATED[markdown.slice(4)];
  if (text === undefined) throw new Error(`no text for ${markdown}`);
  return [text];
}

describe.each(attacks.cases)("attack: $category, $name", ({ markdown }) => {
  test("leaves nothing but what is allowed, at every step", () => {
    const pieces = piecesOf(markdown);
    const whole = pieces.join("");
    drawn(pieces, check);
    if (whole.length < 1000) drawn([...whole], check);
  });
});

const CASES = new Map(attacks.cases.map(({ name, markdown }) => [name, piecesOf(markdown)]));
const shown = (name: string): HTMLElement => {
  const pieces = CASES.get(name);
  if (!pieces) throw new Error(`no case ${name}`);
  return drawn(pieces);
};

describe("what becomes of attacks", () => {
  test.each(attacks.cases.filter(({ category }) => category === "html-injection"))(
    "$name: is text",
    ({ name, markdown }) => {
      const text = piecesOf(markdown).join("");
      // Markdown takes its own marks and entities; every tag is still there to be read.
      for (const tag of text.match(/<\/?[a-z-]+/gi) ?? []) {
        if (!name.startsWith("code fence info")) expect(shown(name).textContent).toContain(tag);
      }
    },
  );

  test.each(attacks.cases.filter(({ category }) => category === "link-scheme"))(
    "$name: no link",
    ({ name }) => {
      expect(shown(name).querySelector("a")).toBeNull();
    },
  );

  test("a link that names another host says where it goes", () => {
    const root = shown("text shows another host");
    expect(root.textContent).toContain("https://github.com/login (attacker.example)");
  });

  test("a name before the host is taken out", () => {
    const root = shown("userinfo host confusion");
    expect(root.querySelector("a")?.href).toBe("https://attacker.example/");
  });

  test("hidden characters are named", () => {
    expect(shown("bidi override in text and code").textContent).toContain("U+202E");
    expect(shown("RTL filename").textContent).toBe("reportU+202Efdp.exe");
    const hidden = shown("zero-width and variation selectors").textContent ?? "";
    expect(hidden).toContain("U+200B");
    expect(hidden).toContain("U+E0100");
    expect(hidden).not.toMatch(/[\u200b-\u200f\u2060-\u2064\u{e0000}-\u{e0fff}]/u);
  });

  test("control characters are named", () => {
    expect(shown("OSC 52 clipboard write").textContent).toMatch(/U\+001B/);
    expect(shown("backspace erase").textContent).toMatch(/U\+0008/);
  });

  test("an image is a button that says where it would come from", () => {
    const root = shown("per-character pixel alphabet");
    const buttons = [...root.querySelectorAll("button")];
    expect(buttons).toHaveLength(6);
    expect(buttons[0]?.getAttribute("aria-label")).toBe("Load image from attacker.example");
    expect(root.querySelector("img")).toBeNull();
  });

  test("an image on the notebook's own server can't be loaded at all", () => {
    const root = shown("same-origin Jupyter API image (CSRF GET / token echo)");
    expect(root.querySelector("[data-src]")).toBeNull();
    expect(root.textContent).toContain("not loadable");
  });
});

describe("size", () => {
  test("text beyond the limit is plain", () => {
    const text = "some words\u202e\nand more ".repeat(MARKDOWN_LIMIT / 16).replaceAll("\u202e", "");
    const root = drawn([text]);
    const plain = [...root.querySelectorAll(".agentnb-plain")];
    expect(plain.map((block) => block.textContent).join("")).toBe(text.slice(MARKDOWN_LIMIT));
    expect(Math.max(...plain.map((block) => block.textContent?.length ?? 0))).toBeLessThanOrEqual(
      10_000,
    );
    const cut = drawn([
      text.slice(0, 17),
      text.slice(17, MARKDOWN_LIMIT + 5),
      text.slice(MARKDOWN_LIMIT + 5),
    ]);
    expect(cut.innerHTML === root.innerHTML).toBe(true);
  });

  test("text beyond the limit hides nothing either", () => {
    const root = drawn(["word ".repeat(MARKDOWN_LIMIT / 5), "a\u202eb\u001b"]);
    expect(root.querySelector(".agentnb-plain")?.textContent).toContain("aU+202EbU+001B");
  });

  test("a word without end is cut, in text and in code", () => {
    for (const [before, after] of [
      ["", ""],
      ["`", "`"],
      ["```\n", "\n```\n"],
      ["- ", "\n- b"],
    ]) {
      const text = `${before}${"ab".repeat(50_000)}${after}`;
      const root = drawn([text]);
      expect(root.textContent).toContain("… (96000 more characters without a space)");
      expect(root.textContent?.length).toBeLessThan(4200);
      const cut = drawn([text.slice(0, 30_000), text.slice(30_000, 99_999), text.slice(99_999)]);
      expect(cut.innerHTML).toBe(root.innerHTML);
    }
  });

  test("nesting is bounded", () => {
    const depth = (node: Element): number => 1 + Math.max(0, ...[...node.children].map(depth));
    for (const text of [
      "> ".repeat(10_000),
      `${"*a **a ".repeat(2000)}b${" a** a*".repeat(2000)}`,
      "- ".repeat(5000),
    ]) {
      expect(depth(drawn([`${text}x`]))).toBeLessThan(260);
    }
  });
});

const GROWN: Record<string, string> = {
  LISTS: Array.from({ length: 1000 }, (_, i) => `${"  ".repeat(i)}* a\n`).join(""),
  TICKS: Array.from({ length: 3000 }, (_, i) => `e${"`".repeat(i)}`).join(""),
  TABLE: `|${"a|".repeat(5000)}\n|${"-|".repeat(5000)}\n${`|${"b|".repeat(5000)}\n`.repeat(5)}`,
};

function patternText(pattern: string | (string | number)[][]): string {
  if (typeof pattern === "string") return GROWN[pattern] ?? "";
  return pattern.map(([text, times]) => String(text).repeat(Number(times))).join("");
}

describe("pathological inputs", () => {
  test.each(Object.entries(pathological.patterns))(
    "%s: is drawn, and never empty",
    (_name, pattern) => {
      const text = patternText(pattern);
      const root = drawn([text]);
      expect(root.textContent).toMatch(/\S/);
      check(root);
    },
    60_000,
  );
});

describe("the list of what may be made", () => {
  test("refuses elements and attributes that are not on it", () => {
    expect(() => mount(element("script" as "p", {}, []))).toThrow(TypeError);
    expect(() => mount(element("p", { onclick: "x" } as Record<string, string>, []))).toThrow(
      TypeError,
    );
  });
});
