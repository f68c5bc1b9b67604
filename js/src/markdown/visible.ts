// Replace characters that hide, reorder or imitate text.

/** Ranges of code points that are invisible or affect the display of others. */
const HIDDEN: readonly (readonly [number, number])[] = [
  // Controls, but for tab and line feed.
  [0x00, 0x08],
  [0x0b, 0x1f],
  [0x7f, 0x9f],
  // Soft hyphen, combining grapheme joiner, fillers, inherent vowels.
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x115f, 0x1160],
  [0x17b4, 0x17b5],
  [0x3164, 0x3164],
  [0xffa0, 0xffa0],
  // Bidirectional marks, embeddings, overrides, isolates; zero-width characters; separators.
  [0x61c, 0x61c],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0xfeff, 0xfeff],
  // Variation selectors, annotations, shorthand and musical formatting, tags.
  [0xfe00, 0xfe0f],
  [0xfff9, 0xfffb],
  [0x1bca0, 0x1bca3],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe0fff],
];

const point = (code: number): string => `\\u{${code.toString(16)}}`;
const CLASS = `[${HIDDEN.map(([first, last]) => `${point(first)}-${point(last)}`).join("")}]`;
const ANY = new RegExp(CLASS, "u");
const RUN = new RegExp(`${CLASS}+`, "gu");

/** Characters before a joiner between two emoji: one, its skin tone, or the end of a sequence. */
const EMOJI_END = /(?:\p{Extended_Pictographic}|\p{Emoji_Modifier}|\u{fe0f}|\u{20e3}|\u{e007f})$/u;
const EMOJI_START = /^(?:\p{Extended_Pictographic}|[\u{2640}\u{2642}])/u;
/** Scripts in which a joiner or non-joiner is part of the spelling. */
const JOINING_END =
  /[\p{Script=Arabic}\p{Script=Syriac}\p{Script=Mongolian}\p{Script=Devanagari}\p{Script=Bengali}\p{Script=Gurmukhi}\p{Script=Gujarati}\p{Script=Oriya}\p{Script=Tamil}\p{Script=Telugu}\p{Script=Kannada}\p{Script=Malayalam}\p{Script=Sinhala}\p{Script=Khmer}\p{Script=Myanmar}\p{Script=Tibetan}]$/u;
/** A subdivision's flag: a black flag, its code in tags, and the tag that ends it. */
const FLAG_TAGS = /^[\u{e0030}-\u{e0039}\u{e0061}-\u{e007a}]{3,6}\u{e007f}$/u;

export interface Piece {
  text: string;
  /** Whether the text is a label for an invisible character. */
  isLabel: boolean;
}

/** Splits text into visible parts and labels such as "U+202E" for invisible characters. */
export function visiblePieces(text: string): Piece[] {
  if (!ANY.test(text)) return text === "" ? [] : [{ text, isLabel: false }];
  const pieces: Piece[] = [];
  let from = 0;
  let kept = "";
  for (const match of text.matchAll(RUN)) {
    const run = match[0];
    const end = match.index + run.length;
    kept += text.slice(from, match.index);
    from = end;
    if (
      isSpelling(
        run,
        text.slice(Math.max(0, match.index - 2), match.index),
        text.slice(end, end + 2),
      )
    ) {
      kept += run;
      continue;
    }
    if (kept) pieces.push({ text: kept, isLabel: false });
    kept = "";
    pieces.push({ text: label(run), isLabel: true });
  }
  kept += text.slice(from);
  if (kept) pieces.push({ text: kept, isLabel: false });
  return pieces;
}

/** The same as one string, for names and titles. */
export function visibleText(text: string): string {
  return visiblePieces(text)
    .map((piece) => (piece.isLabel ? `⟨${piece.text}⟩` : piece.text))
    .join("");
}

/** Returns whether these characters only join their neighbours into one letter or emoji. */
function isSpelling(run: string, before: string, after: string): boolean {
  if (run === "\u00ad") return /\p{L}$/u.test(before) && /^\p{L}/u.test(after);
  if (run === "\ufe0f" || run === "\ufe0e") return /[\p{Emoji}\p{S}\p{Po}]$/u.test(before);
  if (run === "\u200d" || run === "\ufe0f\u200d") {
    if (EMOJI_START.test(after)) return EMOJI_END.test(before) || run.length > 1;
    return run === "\u200d" && JOINING_END.test(before);
  }
  if (run === "\u200c") return JOINING_END.test(before);
  return FLAG_TAGS.test(run) && before.endsWith("\u{1f3f4}");
}

/**
 * Label such as "U+200B", "U+FE0F ×31", or the first few of a mixed run and the number of others.
 */
function label(run: string): string {
  const names: string[] = [];
  let more = 0;
  let last = "";
  let count = 0;
  const flush = () => {
    if (!last) return;
    if (names.length < 8) names.push(count > 1 ? `${last} ×${count}` : last);
    else more += count;
  };
  for (const character of run) {
    const name = `U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}`;
    if (name === last) {
      count += 1;
      continue;
    }
    flush();
    last = name;
    count = 1;
  }
  flush();
  return names.join(" ") + (more ? ` +${more}` : "");
}
