// Long code is shown in pieces, which are the same however it was cut.

import { describe, expect, test } from "vitest";
import { PIECE } from "./pieces.js";
import { MarkdownStream } from "./stream.js";

const LINE = "    total_rate = (before - after) / before\n";
const FENCE = "```py\n";

function grown(text: string, size: number, each?: (code: Element) => void): HTMLElement {
  const stream = new MarkdownStream(document.createElement("div"));
  for (let at = 0; at < text.length; at += size) {
    stream.append(text.slice(at, at + size));
    stream.draw();
    const code = stream.element.querySelector("code");
    if (code) each?.(code);
  }
  stream.finish();
  return stream.element;
}

function codeOf(root: HTMLElement): HTMLElement {
  const code = root.querySelector("code");
  if (!code) throw new Error("no code");
  return code;
}

/** Lines of so many characters together, of which the last one ends there. */
function lines(length: number): string {
  const whole = LINE.repeat(Math.floor(length / LINE.length));
  const rest = length - whole.length;
  return rest > 0 ? `${whole}${"x".repeat(rest - 1)}\n` : whole;
}

const PIECES = LINE.repeat(Math.ceil((3.5 * PIECE) / LINE.length));
const HIDDEN = `${"let a\u202e = 1\n\u200b\u200b\n".repeat(PIECE / 8)}end\n`;

describe.each([
  ["of several pieces", PIECES],
  ["of one piece that is just full", lines(PIECE)],
  ["of one line less", lines(PIECE - 1)],
  ["of one line more", `${lines(PIECE)}\n`],
  ["of two pieces that are just full", lines(2 * PIECE)],
  ["whose lines are longer than a piece", `${"a b ".repeat(PIECE)}\n`.repeat(3)],
  ["with empty lines", "\n".repeat(2 * PIECE)],
  ["with characters that are not seen", HIDDEN],
  ["with an endless word", `${LINE}${"x".repeat(30_000)}\n${PIECES}`],
  ["with lines that look like marks", "```` x\n---\n> a\n- [ ] b\n| c |\n".repeat(PIECE / 10)],
])("code %s", (_name, content) => {
  test.each([29, 333, 5000])("in frames of %i characters", (size) => {
    const texts = [
      `${FENCE}${content}`,
      `${FENCE}${content.slice(0, -1)}`,
      `${FENCE}${content}\`\`\`\n\nMore.\n\n~~~\n${LINE}~~~`,
    ];
    // Not taken apart while it grows.
    if (size > 100) texts.push(`- item\n\n  ${FENCE}${content.replace(/^/gm, "  ")}\n- item`);
    for (const text of texts) {
      const once = grown(text, text.length);
      expect(grown(text, size).innerHTML).toBe(once.innerHTML);
    }
  });
});

test("no piece is much longer than another, and together they are the code", () => {
  const code = codeOf(grown(`${FENCE}${PIECES}\`\`\``, 400));
  const pieces = [...code.childNodes].map((piece) => piece.textContent ?? "");
  expect(pieces.join("")).toBe(PIECES);
  expect(pieces).toHaveLength(4);
  for (const piece of pieces.slice(0, -1)) {
    expect(piece.length).toBeGreaterThanOrEqual(PIECE);
    expect(piece.length).toBeLessThan(PIECE + LINE.length);
    expect(piece).toMatch(/\n$/);
  }
});

test("code that is short is one text", () => {
  const code = codeOf(grown(`${FENCE}${lines(PIECE - 1)}`, 40));
  expect(code.childNodes).toHaveLength(1);
  expect(code.firstChild).toBeInstanceOf(Text);
});

test("a piece is one text while it is written, and left alone after that", () => {
  const texts: Node[] = [];
  const records: MutationRecord[] = [];
  const observer = new MutationObserver(() => {});
  const root = grown(`${FENCE}${PIECES}`, 40, (code) => {
    for (const [i, piece] of [...code.childNodes].entries()) {
      const text = piece instanceof Text ? piece : piece.firstChild;
      expect(piece instanceof Text ? 1 : piece.childNodes.length).toBe(1);
      texts[i] ??= text as Node;
      expect(text).toBe(texts[i]);
    }
    const full = code.childNodes[code.childNodes.length - 2];
    records.push(...observer.takeRecords());
    if (full) observer.observe(full, { subtree: true, childList: true, characterData: true });
  });
  observer.disconnect();
  expect(codeOf(root).childNodes).toHaveLength(4);
  expect(records).toEqual([]);
});
