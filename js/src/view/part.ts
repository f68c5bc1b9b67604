// What the views of a run's parts have in common.

import type { Part } from "../protocol.js";

export interface PartContext {
  /** Whether this part grows, rests while others are before it, or is what it will be. */
  state: "growing" | "resting" | "final";
  /** Whether an answer follows this part, or the run is over. */
  answered: boolean;
  /** How many tool calls there are before this part. */
  calls: number;
  /** Seconds since the run was sent. */
  elapsed: number;
}

export interface PartView<P extends Part> {
  readonly kind: P["kind"];
  readonly element: HTMLElement;
  update(part: P, context: PartContext): void;
  dispose(): void;
}
