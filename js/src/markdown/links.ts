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

const HOST_LIKE = /(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}/giu;

/** Tells whether a link's text names a host, and it isn't the one that the link goes to. */
export function misleads(text: string, host: string): boolean {
  const named = text.match(HOST_LIKE);
  if (!named) return false;
  const real = host
    .replace(/:\d+$/, "")
    .replace(/^www\./, "")
    .toLowerCase();
  // Text such as "report.pdf" or "pandas.DataFrame" isn't meant as a host; only addresses are.
  if (!/:\/\/|^\s*(?:[\p{L}\p{N}-]+\.)+\p{L}{2,}(?:[/:]\S*)?\s*$/iu.test(text)) return false;
  return !named.some((name) => {
    const shown = name.replace(/^www\./i, "").toLowerCase();
    return shown === real || real.endsWith(`.${shown}`) || real.endsWith(`@${shown}`);
  });
}
