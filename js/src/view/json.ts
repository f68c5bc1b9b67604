// JSON, indented and otherwise unchanged.

const MAX_LENGTH = 200_000;
const MAX_DEPTH = 64;

/** The next character that is not white space. */
const NEXT = /\s*(\S)/y;

/**
 * Indents JSON text; returns other text unchanged.
 *
 * Only white space changes: digits, key order and duplicate keys stay.
 */
export function indentJson(text: string): string {
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH || !/^[[{]/.test(trimmed) || !isJson(trimmed)) return text;
  let out = "";
  let depth = 0;
  let at = 0;
  const line = () => {
    out += `\n${"  ".repeat(depth)}`;
  };
  while (at < trimmed.length) {
    const character = trimmed[at] ?? "";
    if (character === '"') {
      const end = stringEnd(trimmed, at);
      out += trimmed.slice(at, end);
      at = end;
      continue;
    }
    at += 1;
    if (/\s/.test(character)) continue;
    if (character === "{" || character === "[") {
      NEXT.lastIndex = at;
      const next = NEXT.exec(trimmed)?.[1];
      if (next === "}" || next === "]") {
        out += character + next;
        at = trimmed.indexOf(next, at) + 1;
        continue;
      }
      depth += 1;
      if (depth > MAX_DEPTH) return text;
      out += character;
      line();
    } else if (character === "}" || character === "]") {
      depth -= 1;
      line();
      out += character;
    } else if (character === ",") {
      out += character;
      line();
    } else {
      out += character === ":" ? ": " : character;
    }
  }
  return out;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function stringEnd(text: string, from: number): number {
  let at = from + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at + 1;
}
