// Replaces the package `entities` in the bundle, whose table takes 9 kB gzipped, by the browser's own
// HTML entities. References are decoded one at a time in a separate document, in which nothing is
// loaded or run.

let area: HTMLTextAreaElement | undefined;

/** Decode a named character reference such as `&amp;`; return unknown ones unchanged. */
export function decodeHTMLStrict(reference: string): string {
  if (!/^&[a-z][a-z0-9]*;$/i.test(reference)) return reference;
  area ??= document.implementation.createHTMLDocument("").createElement("textarea");
  let decoded: string;
  try {
    area.innerHTML = reference;
    decoded = area.textContent ?? "";
  } catch {
    // Forbidden by the page (Trusted Types): leave the reference as it is.
    return reference;
  }
  // HTML also accepts legacy names without semicolon and reads "&notit;" as "¬it;". Markdown doesn't.
  return decoded === ";" || !decoded.endsWith(";") ? decoded : reference;
}
