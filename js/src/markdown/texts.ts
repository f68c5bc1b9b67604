// Text as it may be shown: nothing in it hides, and nothing is too long to be laid out.

import { element, type TreeNode } from "./dom.js";
import { visiblePieces } from "./visible.js";

/** A run of characters without a space that is longer than this is cut: no browser can wrap it soon. */
const LONG_WORD = 20_000;
const SHOWN_OF_WORD = 4_000;
const LONG_WORDS = new RegExp(`\\S{${LONG_WORD},}`, "g");

/** Text whose endless words are cut, each with a note of how much was left out. */
export function withoutEndlessWords(text: string): string {
  if (text.length < LONG_WORD) return text;
  return text.replace(LONG_WORDS, (word) => {
    const rest = word.length - SHOWN_OF_WORD;
    return `${word.slice(0, SHOWN_OF_WORD)}… (${rest} more characters without a space)`;
  });
}

/** Text as nodes; characters that would hide or reorder it are shown by their number. */
export function textNodes(text: string): TreeNode[] {
  return visiblePieces(text).map((piece) =>
    piece.shown
      ? element("span", { class: "agentnb-hidden", title: "A character that is not visible" }, [
          { text: piece.text },
        ])
      : { text: piece.text },
  );
}
