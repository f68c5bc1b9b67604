import MarkdownIt from "markdown-it";
import { describe, expect, test } from "vitest";
import examples from "../../../tests/conformance/commonmark.json" with { type: "json" };
import { MarkdownStream } from "./stream.js";

/** Draws text in these pieces, with a drawing after each. */
function drawn(pieces: Iterable<string>, each?: (element: HTMLElement) => void): HTMLElement {
  const stream = new MarkdownStream(document.createElement("div"));
  for (const piece of pieces) {
    stream.append(piece);
    stream.draw();
    each?.(stream.element);
  }
  stream.finish();
  return stream.element;
}

const whole = (text: string): HTMLElement => drawn([text]);

const INLINE = new Set(["em", "strong", "code", "del"]);

/** What a reader gets: structure, texts and addresses, without the choices that are this project's. */
function normal(node: Node): string {
  if (node instanceof Text) return node.data.replace(/\s+/g, " ");
  if (!(node instanceof Element)) return "";
  const tag = node.tagName.toLowerCase();
  const inside = () => [...node.childNodes].map(normal).join("");
  // Ours end in the address; the reference has it in an attribute.
  const [title, address] = node.matches("a:not([rel]), img:not([class])")
    ? [node.getAttribute("title"), node.getAttribute("href") ?? node.getAttribute("src")]
    : (/^(?:(.*)\n)?([^\n]*)$/s.exec(node.getAttribute("title") ?? "")?.slice(1) ?? []);
  const target = `(${absolute(address ?? "")} ${(title ?? "").replace(/\s+/g, " ")})`;
  if (tag === "img") return `!{${node.getAttribute("alt")?.replace(/\s+/g, " ")}}${target}`;
  if (node.classList.contains("agentnb-image")) {
    const alt = node.querySelector(".agentnb-image-alt")?.textContent?.replace(/\s+/g, " ");
    return `!{${alt === "Image" ? "" : alt}}${target}`;
  }
  if (node.classList.contains("agentnb-host")) return "";
  if (tag === "a" || node.classList.contains("agentnb-inert")) return `{${inside()}}${target}`;
  if (tag === "pre") return `\n<pre>${node.textContent}</pre>\n`;
  if (tag === "code") return `<code>${node.textContent}</code>`;
  if (tag === "br") return "<br>";
  if (INLINE.has(tag)) return `<${tag}>${inside()}</${tag}>`;
  // A tight item's paragraph is only there in ours.
  if (tag === "p" && node.parentElement?.tagName === "LI") return `\n${inside().trim()}\n`;
  const start = node.getAttribute("start");
  return `\n<${tag}${start ? ` start=${start}` : ""}>\n${inside().trim()}\n</${tag}>\n`;
}

function absolute(address: string): string {
  try {
    const url = new URL(address);
    return url.protocol === "mailto:" || /^https?:/.test(url.protocol) ? url.href : address;
  } catch {
    return address;
  }
}

const lines = (text: string): string => text.replace(/[ \n]*\n[ \n]*/g, "\n").trim();

const shown = (root: Element): string => lines([...root.childNodes].map(normal).join(""));

const parse = (html: string): string =>
  shown(new DOMParser().parseFromString(html, "text/html").body);

const reference = new MarkdownIt({ html: false });

describe.each(examples)("CommonMark example $example ($section)", ({ markdown, html, section }) => {
  const once = whole(markdown);

  test("has the expected content", () => {
    const raw = section === "HTML blocks" || section === "Raw HTML" || /<[a-z!?/]/i.test(markdown);
    const expected = raw ? reference.render(markdown) : html;
    expect(shown(once)).toBe(parse(expected));
  });

  test("is the same however it is cut", () => {
    expect(drawn(markdown).innerHTML).toBe(once.innerHTML);
    for (const size of [2, 3, 7]) {
      const pieces = markdown.match(new RegExp(`.{1,${size}}`, "gs")) ?? [];
      expect(drawn(pieces).innerHTML).toBe(once.innerHTML);
    }
    for (let at = 1; at < markdown.length; at += 1) {
      const cut = drawn([markdown.slice(0, at), markdown.slice(at)]);
      expect(cut.innerHTML).toBe(once.innerHTML);
    }
  });
});

describe("random documents of awkward pieces", () => {
  // A small generator with a fixed seed: what fails once fails again.
  const PIECES = [
    "a",
    "b c",
    "\n",
    "\n\n",
    "\n",
    "- ",
    "* ",
    "1. ",
    "2) ",
    "> ",
    "    ",
    "  ",
    "\t",
    "```\n",
    "~~~",
    "```js\n",
    "|",
    " | ",
    "|-|-|\n",
    "---\n",
    "===\n",
    "# ",
    "*",
    "**",
    "_",
    "~~",
    "`",
    "``",
    "[a]",
    "[b]: /u\n",
    "[a]: http://x.y 't'\n",
    "(",
    ")",
    "[",
    "]",
    "![",
    "<",
    ">",
    "http://e.x",
    "\\",
    "&amp;",
    "\r",
    "\r\n",
    "[ ] ",
    "[x] ",
    "'t\n",
    "\u200d",
    "👩",
    "\ufe0f",
    "é",
  ];
  const random = (seed: number) => () => {
    seed = (seed * 1664525 + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };

  test.each(Array.from({ length: 40 }, (_, i) => i))("seed %i", (seed) => {
    const next = random(seed + 1);
    for (let n = 0; n < 40; n += 1) {
      const length = 2 + Math.floor(next() * 40);
      const text = Array.from({ length }, () => PIECES[Math.floor(next() * PIECES.length)]).join(
        "",
      );
      const once = whole(text).innerHTML;
      expect(drawn(text).innerHTML, JSON.stringify(text)).toBe(once);
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const size = 1 + Math.floor(next() * 12);
        pieces.push(text.slice(at, at + size));
        at += size;
      }
      expect(drawn(pieces).innerHTML, JSON.stringify(pieces)).toBe(once);
    }
  });
});
