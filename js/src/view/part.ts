// Common properties of a run's parts.

import type { Part } from "../protocol.js";

export interface PartContext {
  /** Whether this part grows, pauses, or is final. */
  state: "growing" | "resting" | "final";
  /** Whether an answer follows this part, or the run has ended. */
  answered: boolean;
  /** Number of tool calls before this part. */
  calls: number;
  /** Number of images and files before this part. */
  media: number;
  /** Seconds since the request. */
  elapsed: number;
}

export interface PartView<P extends Part> {
  readonly kind: P["kind"];
  readonly element: HTMLElement;
  update(part: P, context: PartContext): void;
  dispose(): void;
}
