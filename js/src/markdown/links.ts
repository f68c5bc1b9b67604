// The only code that decides which addresses may be opened or loaded.

export interface Address {
  /** Value of the attribute: absolute, without user name and password. */
  href: string;
  /** The destination to display: a host or a mailbox. */
  host: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\]/;
const LINKS = /^(?:https?:\/\/|mailto:)/i;
const IMAGES = /^https?:\/\//i;

/** Return the address of a link; null unless absolute http, https or mailto. */
export function linkAddress(url: string): Address | null {
  return LINKS.test(url) ? address(url) : null;
}

/**
 * Return the address of an image that may be loaded on a click, or null.
 *
 * Relative addresses are refused: they would reach the notebook server with the user's cookies.
 */
export function imageAddress(url: string): Address | null {
  return IMAGES.test(url) ? address(url) : null;
}

function address(url: string): Address | null {
  if (FORBIDDEN.test(url)) return null;
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return null;
  }
  if (parsed.protocol === "mailto:") return { href: parsed.href, host: parsed.pathname };
  // A user name before the host may imitate a host.
  parsed.username = "";
  parsed.password = "";
  return parsed.host ? { href: parsed.href, host: parsed.host } : null;
}

/** Characters that imitate a slash or a dot and are not normalized by NFKC. */
const SLASHES = /[\u2044\u2215\u29f8]/g;
const DOTS = /[\u2024\u3002\ua4f8]/g;
const HOST = String.raw`(?:(?:[\p{L}\p{N}_-]+\.)+\p{L}[\p{L}\p{N}_-]+|(?:\d{1,3}\.){3}\d{1,3}|localhost)`;
const AFTER_SCHEME = /[a-z][a-z0-9+.-]*:\s*\/\/+\s*([^\s/?#"'<>(),;]*)/i;
const ADDRESS_LIKE = new RegExp(
  String.raw`^\s*((?:[\p{L}\p{N}_.+-]+@)?${HOST}(?::\d+)?)(?:[/?#]\S*)?\s*$`,
  "iu",
);
/** Longer texts are not read as an address. */
const LONGEST_LABEL = 500;

/** Return whether a link's text is an address with a host other than the link's. */
export function misleads(text: string, host: string): boolean {
  const plain = text
    .slice(0, LONGEST_LABEL)
    .normalize("NFKC")
    .replace(SLASHES, "/")
    .replace(DOTS, ".");
  // Text such as "report.pdf" within a sentence isn't meant as a host; only addresses are.
  const named = (AFTER_SCHEME.exec(plain) ?? ADDRESS_LIKE.exec(plain))?.[1];
  return named !== undefined && plainHost(named) !== plainHost(host);
}

function plainHost(host: string): string {
  return host
    .toLowerCase()
    .replace(/[.!]+$/, "")
    .replace(/:\d*$/, "")
    .replace(/^www\./, "")
    .replace(/\.+$/, "");
}
