// Formats times in the user's time zone.

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");

/**
 * "22 Nov, 14:05", or "22 Nov 2025" for another year; not relative, since a notebook is read later.
 */
export function moment(seconds: number, now = new Date()): string {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return "";
  const day = `${at.getDate()} ${MONTHS[at.getMonth()]}`;
  if (at.getFullYear() !== now.getFullYear()) return `${day} ${at.getFullYear()}`;
  return `${day}, ${pad(at.getHours())}:${pad(at.getMinutes())}`;
}

/** "2026-11-22T14:05:09.000Z"; "" for an invalid time. */
export function isoMoment(seconds: number): string {
  const at = new Date(seconds * 1000);
  return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

/** "2026-11-22 14:05:09" */
export function exactMoment(seconds: number): string {
  const at = new Date(seconds * 1000);
  if (Number.isNaN(at.getTime())) return "";
  const day = [at.getFullYear(), at.getMonth() + 1, at.getDate()].map(pad).join("-");
  return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(":")}`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
