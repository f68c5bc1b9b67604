// Names of the statuses, and their notes.

import type { Status } from "../protocol.js";

export const STATUS_WORDS: Readonly<Record<Status, string>> = {
  queued: "Queued",
  running: "Running",
  paused: "Waiting for approval",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  truncated: "Cut off",
  interrupted: "Interrupted",
};

/** Note at the end of an incomplete answer; null for a complete one. */
export function endNote(status: Status, hasParts: boolean): string | null {
  switch (status) {
    case "cancelled":
      return hasParts
        ? "Stopped here. What had arrived is kept."
        : "Stopped before anything arrived.";
    case "truncated":
      return hasParts
        ? "The stream ended before the run did. What had arrived is kept."
        : "The stream ended before anything arrived.";
    case "interrupted":
      return "The process that followed this run went away before it ended.";
    default:
      return null;
  }
}
