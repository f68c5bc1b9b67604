// Replaces punycode.js in the bundle by the browser's URL parser.

/** Return a host in ASCII; invalid hosts unchanged. */
function toASCII(host: string): string {
  try {
    return new URL(`http://${host}`).hostname || host;
  } catch {
    return host;
  }
}

/** Not converted back: Unicode letters could imitate other hosts. */
function toUnicode(host: string): string {
  return host;
}

export default { toASCII, toUnicode };
