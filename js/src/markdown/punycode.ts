// Replaces punycode.js in the bundle: the browser converts host names to ASCII.

/** Returns the ASCII form of a host name; an invalid one unchanged. */
function toASCII(host: string): string {
  try {
    return new URL(`http://${host}`).hostname || host;
  } catch {
    return host;
  }
}

/** A host is displayed in its ASCII form, since letters may look like others. */
function toUnicode(host: string): string {
  return host;
}

export default { toASCII, toUnicode };
