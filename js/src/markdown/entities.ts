// Stands in the bundle for the package `entities`, whose table weighs 9 kB gzipped. The browser has
// the same one: HTML's. One reference at a time is decoded, in a document of its own in which
// nothing is loaded or run.

let area: HTMLTextAreaElement | undefined;

/** What a character reference with a name stands for, as `&amp;` does; itself where for nothing. */
export function decodeHTMLStrict(reference: string): string {
  if (!/^&[a-z][a-z0-9]*;$/i.test(reference)) return reference;
  area ??= document.implementation.createHTMLDocument("").createElement("textarea");
  let decoded: string;
  try {
    area.innerHTML = reference;
    decoded = area.textContent ?? "";
  } catch {
    // Pages can forbid this altogether; then the reference stays as it was written.
    return reference;
  }
  // HTML also takes old names without the semicolon, and reads "&notit;" as "¬it;". Markdown doesn't.
  return decoded === ";" || !decoded.endsWith(";") ? decoded : reference;
}
