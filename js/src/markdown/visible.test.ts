import { describe, expect, test } from "vitest";
import { visiblePieces, visibleText } from "./visible.js";

describe("what is spelling stays", () => {
  test.each([
    ["plain text", "Grüße, 𝒩𝒱𝒟𝒜 — naïve\tx\n"],
    ["emoji with joiners", "👩‍👩‍👧 🏳️‍🌈 ❤️ 👋🏽 🧑🏽‍💻 👩‍❤️‍👨"],
    ["keycaps and symbols with a selector", "1️⃣ ©️ ™︎ ↔️"],
    ["flags of regions", "🏴󠁧󠁢󠁥󠁮󠁧󠁿"],
    ["joiners and non-joiners of scripts that have them", "می‌خواهم क्‍ष ශ්‍රී"],
    ["a soft hyphen in a word", "Donau\u00addampf"],
    ["right-to-left text", "שלום العربية"],
  ])("%s", (_name, text) => {
    expect(visiblePieces(text)).toEqual([{ text, isLabel: false }]);
  });

  test("nothing is nothing", () => {
    expect(visiblePieces("")).toEqual([]);
  });
});

describe("what hides is named", () => {
  test.each([
    ["overrides", "a\u202eb", "a⟨U+202E⟩b"],
    ["isolates", "\u2066x\u2069", "⟨U+2066⟩x⟨U+2069⟩"],
    ["marks", "x\u200ey\u200fz\u061c", "x⟨U+200E⟩y⟨U+200F⟩z⟨U+061C⟩"],
    ["zero-width characters", "a\u200bb\ufeffc\u2060d", "a⟨U+200B⟩b⟨U+FEFF⟩c⟨U+2060⟩d"],
    ["joiners between letters that don't join", "pass\u200dword\u200c", "pass⟨U+200D⟩word⟨U+200C⟩"],
    ["a row of selectors", `x${"\ufe0f".repeat(31)}`, "x⟨U+FE0F ×31⟩"],
    ["tags", "hi\u{e0041}\u{e0042}", "hi⟨U+E0041 U+E0042⟩"],
    ["tags after a flag that are no region's", `🏴${"\u{e0041}".repeat(9)}`, "🏴⟨U+E0041 ×9⟩"],
    ["escape and bell", "\u001b]0;x\u0007", "⟨U+001B⟩]0;x⟨U+0007⟩"],
    ["C1 controls", "\u009b31m", "⟨U+009B⟩31m"],
    ["carriage returns and backspaces", "ab\b\rc", "ab⟨U+0008 U+000D⟩c"],
    ["soft hyphens that aren't in words", "\u00ad\u00ad", "⟨U+00AD ×2⟩"],
    ["fillers", "\u3164\u115f", "⟨U+3164 U+115F⟩"],
  ])("%s", (_name, text, expected) => {
    expect(visibleText(text)).toBe(expected);
  });

  test("a long mixed run is cut short", () => {
    const run = Array.from({ length: 100 }, (_, i) => String.fromCodePoint(0xe0020 + i)).join("");
    expect(visibleText(run)).toMatch(/^⟨(?:U\+E00\w\w ){8}\+92⟩$/);
  });
});
