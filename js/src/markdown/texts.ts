// Text made safe for display: nothing is invisible, and no word is too long for layout.

import { element, type TreeNode } from "./dom.js";
import { visiblePieces } from "./visible.js";

/** Longer words are truncated: browsers take too long to wrap them. */
const LONG_WORD = 20_000;
const SHOWN_OF_WORD = 4_000;
const LONG_WORDS = new RegExp(`\\S{${LONG_WORD},}`, "g");

/** Truncate overlong words, with a note of how much was omitted. */
export function withoutEndlessWords(text: string): string {
  if (text.length < LONG_WORD) return text;
  return text.replace(LONG_WORDS, (word) => {
    const rest = word.length - SHOWN_OF_WORD;
    return `${word.slice(0, SHOWN_OF_WORD)}… (${rest} more characters without a space)`;
  });
}

/** Return text as nodes; invisible or reordering characters are displayed by their code. */
export function textNodes(text: string): TreeNode[] {
  return visiblePieces(text).map((piece) =>
    piece.shown
      ? element("span", { class: "agentnb-hidden", title: "A character that is not visible" }, [
          { text: piece.text },
        ])
      : { text: piece.text },
  );
}
