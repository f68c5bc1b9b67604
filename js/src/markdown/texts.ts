// Text that hides nothing and can be laid out quickly.

import { element, type TreeNode } from "./dom.js";
import { visiblePieces } from "./visible.js";

/** Longer words are cut, since browsers wrap them slowly. */
const LONG_WORD = 20_000;
const SHOWN_OF_WORD = 4_000;
const LONG_WORDS = new RegExp(`\\S{${LONG_WORD},}`, "g");

/** Returns text with very long words cut, each with a note on its rest. */
export function withoutEndlessWords(text: string): string {
  if (text.length < LONG_WORD) return text;
  return text.replace(LONG_WORDS, (word) => {
    const rest = word.length - SHOWN_OF_WORD;
    return `${word.slice(0, SHOWN_OF_WORD)}… (${rest} more characters without a space)`;
  });
}

/** Returns text as nodes; characters that would hide or reorder it are replaced by their number. */
export function textNodes(text: string): TreeNode[] {
  return visiblePieces(text).map((piece) =>
    piece.isLabel
      ? element("span", { class: "agentnb-hidden", title: "A character that is not visible" }, [
          { text: piece.text },
        ])
      : { text: piece.text },
  );
}
