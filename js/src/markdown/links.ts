// The one place that decides which addresses may be followed or loaded.

export interface Address {
  /** The attribute's value: absolute, without user name and password. */
  href: string;
  /** The host or mailbox that the address leads to. */
  host: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are forbidden
const FORBIDDEN = /[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\]/;
const LINKS = /^(?:https?:\/\/|mailto:)/i;
const IMAGES = /^https?:\/\//i;

/** Returns the address of an absolute http, https or mailto link, or null. */
export function linkAddress(url: string): Address | null {
  return LINKS.test(url) ? address(url) : null;
}

/**
 * Returns the address of an image that may be loaded on a click, or null.
 *
 * Relative addresses are rejected: they would reach the notebook server with the user's cookies.
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

/** Characters that look like a slash or a dot; NFKC normalizes most others. */
const SLASHES = /[\u2044\u2215\u29f8]/g;
const DOTS = /[\u2024\u3002\ua4f8]/g;
const HOST = String.raw`(?:(?:[\p{L}\p{N}_-]+\.)+\p{L}[\p{L}\p{N}_-]+|(?:\d{1,3}\.){3}\d{1,3}|localhost)`;
const AFTER_SCHEME = /[a-z][a-z0-9+.-]*:\s*\/\/+\s*([^\s/?#"'<>(),;]*)/i;
const ADDRESS_LIKE = new RegExp(
  String.raw`^\s*((?:[\p{L}\p{N}_.+-]+@)?${HOST}(?::\d+)?)(?:[/?#]\S*)?\s*$`,
  "iu",
);
/** Longer labels are not read as an address. */
const LONGEST_LABEL = 500;

/** Returns whether a link's text is an address of another host than the link's. */
export function misleads(text: string, host: string): boolean {
  const plain = text
    .slice(0, LONGEST_LABEL)
    .normalize("NFKC")
    .replace(SLASHES, "/")
    .replace(DOTS, ".");
  // Only addresses count: "report.pdf" within a sentence is no host.
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
