// Texts of a chat.

import type { RunState } from "../protocol.js";
import { attemptOf } from "../view/waiting.js";

export const LOST = "The kernel is gone or was restarted: run the cell again to go on.";
export const SILENT =
  "No word from the kernel: it is busy or was restarted. If it was restarted, run the cell again to go on.";
export const BUSY = "The kernel is busy and has not seen this yet.";
export const UNREADABLE = "A file could not be read: attach it again.";
export const NOT_TAKEN = "The kernel did not take this: try again.";
export const TOO_LONG = "A question may have at most 1,000,000 characters: attach a file instead.";
export const NEEDS_QUESTION = "Files are sent with a question only: write one.";
export const UNDER_WAY = "An answer is under way: stop it first, or wait for its end.";

/** Announcements for the statuses of a run. */
const SAID: Partial<Record<RunState["status"], string>> = {
  completed: "Answer complete.",
  cancelled: "Stopped.",
  failed: "The run failed.",
  truncated: "The answer was cut off.",
  interrupted: "The run was interrupted.",
  paused: "The agent waits for approval.",
};

/** Announcement for a change of a run: what it waits for, or its status. */
export function announcement(run: RunState): string | undefined {
  if (run.waiting) return `${attemptOf(run.waiting)}.`;
  const text = SAID[run.status];
  return text && run.error ? `${text} ${run.error.message}` : text;
}
