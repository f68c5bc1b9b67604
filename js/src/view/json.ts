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

/**
 * The members of a JSON object with the text of their values, in which digits stay; null if the
 * text is no object, or too long or deep.
 */
export function jsonMembers(text: string): Map<string, string> | null {
  const parts = split(text, "{");
  if (!parts) return null;
  return new Map(
    parts.map((part) => {
      const end = stringEnd(part, 0);
      return [JSON.parse(part.slice(0, end)), part.slice(part.indexOf(":", end) + 1).trim()];
    }),
  );
}

/** The same for the items of an array. */
export function jsonItems(text: string): string[] | null {
  return split(text, "[");
}

/** The string of a JSON text; undefined if it is none. */
export function jsonString(text = ""): string | undefined {
  return text.startsWith('"') && isJson(text) ? (JSON.parse(text) as string) : undefined;
}

function split(text: string, opening: "{" | "["): string[] | null {
  const trimmed = text.trim();
  if (trimmed.length > MAX_LENGTH || trimmed[0] !== opening || !isJson(trimmed)) return null;
  const parts: string[] = [];
  let depth = 0;
  let from = 1;
  let at = 0;
  while (at < trimmed.length) {
    const character = trimmed[at] ?? "";
    if (character === '"') {
      at = stringEnd(trimmed, at);
      continue;
    }
    if (character === "{" || character === "[") depth += 1;
    if (character === "}" || character === "]") depth -= 1;
    if (depth > MAX_DEPTH) return null;
    if (depth === 0 || (depth === 1 && character === ",")) {
      parts.push(trimmed.slice(from, at).trim());
      from = at + 1;
    }
    at += 1;
  }
  // Only an empty object or array has an empty part.
  return parts.filter((part) => part !== "");
}

export function isJson(text: string): boolean {
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
