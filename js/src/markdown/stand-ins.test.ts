// What stands in the bundle for packages of markdown-it does the same as they do.

import { createRequire } from "node:module";
import { decodeHTMLStrict as realDecode } from "entities/decode";
import MarkdownIt from "markdown-it";
import { describe, expect, test } from "vitest";
import { encodeNonAsciiHTML as encode } from "../../node_modules/entities/dist/encode.js";
import { decodeHTMLStrict } from "./entities.js";
import punycode from "./punycode.js";
import { P, S } from "./unicode.js";

// Read by Node itself, which knows no aliases.
const real = createRequire(import.meta.url)("uc.micro") as typeof import("uc.micro");
const CODE_POINTS = 0x110000;

describe("character references", () => {
  test("with names stand for what they stand for", () => {
    const references = [
      "&amp;",
      "&lt;",
      "&AMP;",
      "&semi;",
      "&Tab;",
      "&NewLine;",
      "&nbsp;",
      "&fjlig;",
    ];
    for (let point = 0x80; point < 0x20000; point += 1) {
      if (point >= 0xd800 && point < 0xe000) continue;
      const reference = encode(String.fromCodePoint(point));
      if (!reference.startsWith("&#")) references.push(reference);
    }
    expect(references.length).toBeGreaterThan(1300);
    for (const reference of references) {
      const decoded = realDecode(reference);
      expect(decoded).not.toBe(reference);
      expect(decodeHTMLStrict(reference)).toBe(decoded);
    }
  });

  test.each([
    "&amp",
    "&copy",
    "&notit;",
    "&copyx;",
    "&nosuch;",
    "&Amp;",
    "&;",
    "amp;",
    "&a b;",
    "&amp;lt;",
  ])("%s is none, or not one alone", (text) => {
    expect(decodeHTMLStrict(text)).toBe(text);
  });
});

test("punctuation and symbols are what they are, of all characters known to this browser", () => {
  const differ: string[] = [];
  for (let point = 0; point < CODE_POINTS; point += 1) {
    const character = String.fromCodePoint(point);
    if (/\p{Cn}/u.test(character)) continue;
    const same = real.P.test(character) === P.test(character);
    if (!same || real.S.test(character) !== S.test(character)) differ.push(character);
  }
  expect(differ).toEqual([]);
});

test("markdown-it has them here as it has them in the bundle", () => {
  const { lib } = new MarkdownIt().utils;
  expect(lib.ucmicro.P).toBe(P);
});

describe("names of hosts", () => {
  const original = createRequire(import.meta.url)("punycode.js") as typeof punycode;

  test.each(["example.com", "münchen.example", "例え.テスト", "xn--mnchen-3ya.example"])(
    "%s stands in an address as punycode.js writes it",
    (host) => expect(punycode.toASCII(host)).toBe(original.toASCII(host)),
  );

  test("are shown as they are resolved", () => {
    expect(punycode.toUnicode("xn--pple-43d.example")).toBe("xn--pple-43d.example");
  });

  test("that are none come back as they are", () => {
    expect(punycode.toASCII("a b")).toBe("a b");
  });
});
