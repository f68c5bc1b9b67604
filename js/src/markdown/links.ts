// The one place that decides which addresses may be followed or loaded.

export interface Address {
  /** What goes into the attribute: absolute, and without a user name or password. */
  href: string;
  /** What a reader should know about where it goes: the host, or the mailbox. */
  host: string;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\u0000-\u0020\u007f-\u00a0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\\]/;
const LINKS = /^(?:https?:\/\/|mailto:)/i;
const IMAGES = /^https?:\/\//i;

/** The address of a link that may be followed, or null: only absolute http, https and mailto. */
export function linkAddress(url: string): Address | null {
  return LINKS.test(url) ? address(url) : null;
}

/**
 * The address of an image that may be loaded once a reader asks for it, or null.
 *
 * Relative addresses are refused: they would reach the notebook server with the reader's cookies.
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
  // A name before the host is there to look like the host.
  parsed.username = "";
  parsed.password = "";
  return parsed.host ? { href: parsed.href, host: parsed.host } : null;
}

/** What stands for a slash or a dot without being one; NFKC takes care of most others. */
const SLASHES = /[\u2044\u2215\u29f8]/g;
const DOTS = /[\u2024\u3002\ua4f8]/g;
const HOST = String.raw`(?:(?:[\p{L}\p{N}_-]+\.)+\p{L}[\p{L}\p{N}_-]+|(?:\d{1,3}\.){3}\d{1,3}|localhost)`;
const AFTER_SCHEME = /[a-z][a-z0-9+.-]*:\s*\/\/+\s*([^\s/?#"'<>(),;]*)/i;
const ADDRESS_LIKE = new RegExp(
  String.raw`^\s*((?:[\p{L}\p{N}_.+-]+@)?${HOST}(?::\d+)?)(?:[/?#]\S*)?\s*$`,
  "iu",
);
/** Nobody reads a longer text as an address. */
const LONGEST_LABEL = 500;

/** Tells whether a link's text is an address, and not the one of the host that the link goes to. */
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
