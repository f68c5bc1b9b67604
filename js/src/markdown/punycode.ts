// Stands in the bundle for punycode.js: the browser knows how a host's name is written in ASCII.

/** The host as it stands in an address; one that is no host's name comes back as it is. */
function toASCII(host: string): string {
  try {
    return new URL(`http://${host}`).hostname || host;
  } catch {
    return host;
  }
}

/** A host is shown as it is resolved: letters that only look like others' are not brought back. */
function toUnicode(host: string): string {
  return host;
}

export default { toASCII, toUnicode };
