// Close open Markdown at the end of a stream.
//
// An unclosed mark would be displayed as text and vanish a moment later, so the text is rendered as
// if it were closed at the end. Finished text is not affected.

interface Mark {
  text: string;
  at: number;
}

const WORD = /[\p{L}\p{N}]/u;
/** Maximum number of open marks; further ones are displayed as text. */
const MAX_OPEN = 16;

/** Closes or omits open syntax at the end of a passage of inline Markdown. */
export function mendInline(source: string): string {
  const marks: Mark[] = [];
  const brackets: number[] = [];
  /** Omitted ranges, sorted by their start. */
  const cuts: [number, number][] = [];
  let end = source.length;
  let code = "";
  let i = 0;
  while (i < end) {
    const character = source[i];
    if (character === "\\") {
      i += 2;
    } else if (character === "`") {
      const stop = runEnd(source, i);
      const partner = findRun(source, stop, stop - i);
      if (partner >= 0) {
        i = partner + (stop - i);
      } else {
        if (stop === end) cuts.push([i, stop]);
        else code = source.slice(i, stop);
        break;
      }
    } else if (character === "[") {
      brackets.push(i);
      i += 1;
    } else if (character === "]") {
      const opener = brackets.pop();
      if (opener !== undefined && i + 1 === end) {
        // The next character decides whether this is the text of a link.
        brackets.push(opener);
        end = i;
        continue;
      }
      if (opener === undefined || source[i + 1] !== "(") {
        i += 1;
        continue;
      }
      const stop = findClosing(source, i + 1);
      if (stop >= 0) {
        i = stop + 1;
        continue;
      }
      // The address is incomplete, so only the link's text is displayed.
      brackets.push(opener);
      end = i;
    } else if (
      character === "<" &&
      /^<(?:https?:|mailto:)[^\s<>]*$/i.test(source.slice(i, i + 2048))
    ) {
      end = i;
    } else if (character === "*" || character === "_" || character === "~") {
      const stop = runEnd(source, i);
      readMark(source, i, Math.min(stop, end), end, marks, cuts);
      i = stop;
    } else {
      i += 1;
    }
  }
  // Until brackets are closed their meaning is unknown, so only their text is displayed.
  for (const at of brackets.slice(-MAX_OPEN))
    cuts.push([source[at - 1] === "!" ? at - 1 : at, at + 1]);
  const rendered = without(source.slice(0, end), cuts);
  if (!marks.length && !code) return rendered;
  // The end of code may be the first half of its closing mark.
  const body = code ? withoutHalfMark(rendered) : rendered.trimEnd();
  const closers = marks.reverse().map((mark) => mark.text);
  return body + code + closers.join("") + (code ? "" : rendered.slice(body.length));
}

/** Handles a run of emphasis marks, which closes, opens or is plain text. */
function readMark(
  source: string,
  from: number,
  stop: number,
  end: number,
  marks: Mark[],
  cuts: [number, number][],
): void {
  const text = source.slice(from, stop);
  if (text === "~" && stop === end) cuts.push([from, stop]);
  if (text.length > 3 || (text[0] === "~" && text.length !== 2)) return;
  const before = source[from - 1] ?? " ";
  const after = stop < end ? (source[stop] ?? " ") : " ";
  const last = marks[marks.length - 1];
  if (
    last &&
    last.text[0] === text[0] &&
    !/\s/.test(before) &&
    (text[0] !== "_" || !WORD.test(after))
  ) {
    if (text.length < last.text.length) last.text = last.text.slice(text.length);
    else marks.pop();
    return;
  }
  if (stop === end) {
    // Perhaps incomplete: hidden until its meaning is known.
    cuts.push([from, stop]);
    return;
  }
  const opens = !/\s/.test(after) && (WORD.test(after) || !WORD.test(before));
  if (opens && !(text[0] === "_" && WORD.test(before)) && marks.length < MAX_OPEN) {
    marks.push({ text, at: from });
  }
}

/** The text without trailing marks and the space around them. */
function withoutHalfMark(text: string): string {
  const body = text.trimEnd();
  let end = body.length;
  while (body[end - 1] === "`") end -= 1;
  return body.slice(0, end).trimEnd();
}

function without(source: string, cuts: [number, number][]): string {
  let kept = "";
  let from = 0;
  for (const [start, stop] of cuts.sort((a, b) => a[0] - b[0])) {
    if (start > from) kept += source.slice(from, start);
    from = Math.max(from, stop);
  }
  return kept + source.slice(from);
}

/** Marks that may become a heading's underline, a rule, an item, a table's second row, a fence. */
const MARKS_ONLY = /^[ \t>]*(?:[-=*_+#~`|:\s]+|\d{1,9}[.)]?[ \t]*|[-*+] +\[[ xX]?\]?[ \t]*)$/;
/** Longer lines of marks are unlikely, and slow to match. */
const MARKS_LENGTH = 200;

/**
 * Returns how much of a text can be rendered, since further characters will not change its kind.
 *
 * A last line of marks only cannot; nor a line that may be the head of a table, until the next one
 * has begun.
 */
export function settledLength(source: string, mayStartTable: boolean): number {
  let end = source.length;
  const lastLine = source.lastIndexOf("\n") + 1;
  if (end - lastLine <= MARKS_LENGTH && MARKS_ONLY.test(source.slice(lastLine))) end = lastLine;
  if (!mayStartTable) return end;
  const head = source.lastIndexOf("\n", end - 2) + 1;
  if (!source.slice(head, end).trimStart().startsWith("|")) return end;
  const before = source.lastIndexOf("\n", head - 2) + 1;
  return head === 0 || source.slice(before, head).trim() === "" ? head : end;
}

function runEnd(source: string, from: number): number {
  let end = from;
  while (source[end] === source[from]) end += 1;
  return end;
}

function findRun(source: string, from: number, length: number): number {
  for (let i = from; i < source.length; i += 1) {
    if (source[i] !== "`") continue;
    const end = runEnd(source, i);
    if (end - i === length) return i;
    i = end - 1;
  }
  return -1;
}

/** Position of the closing parenthesis, or -1. */
function findClosing(source: string, from: number): number {
  let depth = 0;
  for (let i = from; i < source.length; i += 1) {
    const character = source[i];
    if (character === "\\") {
      i += 1;
    } else if (character === "(") {
      depth += 1;
    } else if (character === ")") {
      depth -= 1;
      if (depth === 0) return i;
    }
  }
  return -1;
}
