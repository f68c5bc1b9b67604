// Texts of the monitor on all runs, and on the polling.

import type { Status } from "../protocol.js";
import { count, duration } from "../view/format.js";
import type { Watching } from "./protocol.js";

const GROUPS: readonly { word: string; of: readonly Status[] }[] = [
  { word: "running", of: ["running"] },
  { word: "queued", of: ["queued"] },
  { word: "waiting for approval", of: ["paused"] },
  { word: "completed", of: ["completed"] },
  { word: "failed", of: ["failed"] },
  { word: "cancelled", of: ["cancelled"] },
  { word: "cut off", of: ["truncated"] },
  { word: "interrupted", of: ["interrupted"] },
];

/** "3 running, 7 completed" */
export function counts(statuses: readonly Status[]): string {
  const found = GROUPS.map(({ word, of }) => ({
    word,
    number: statuses.filter((status) => of.includes(status)).length,
  }));
  const present = found.filter(({ number }) => number > 0);
  return present.map(({ word, number }) => `${count(number)} ${word}`).join(", ") || "No runs";
}

/** State of the polling, and the age of the last answer. */
export function asking(watching: Watching, asked: number | null, ended: boolean): string {
  const { over, polls, interval, slow } = watching;
  if (over) return ended ? "All have ended; nothing is asked any more." : "No longer watched.";
  if (!polls) return "Followed live.";
  const every = `every ${brief(interval)}`;
  const often = slow ? `nothing changes, so asked only ${every}` : `asked ${every}`;
  return asked === null ? `Asking; ${often}.` : `Last asked ${brief(asked)} ago; ${often}.`;
}

/** Whole seconds, since a line that is read rarely need not run. */
function brief(seconds: number): string {
  return seconds < 60 ? `${Math.round(seconds)} s` : duration(seconds);
}
