// Events and timeline of a run, which the kernel sends on request.

import { allOf, type Guard, isCount, isNumber, isString, listOf, oneOf, orNull } from "./guards.js";

/** One recorded event; its long texts are truncated. */
export interface EventRecord {
  /** Seconds since the request. */
  at: number;
  type: string;
  [field: string]: unknown;
}

/** Events of a run from number `offset` on, and the total number. */
export interface EventsPage {
  offset: number;
  total: number;
  events: EventRecord[];
}

/** One segment of a run, in seconds since the request. */
export interface Segment {
  kind: "waiting" | "reasoning" | "text" | "tool" | "approval" | "step";
  label: string;
  start: number;
  end: number;
  /** For a tool call or an approval. */
  status: string | null;
  detail: string;
}

/** Timeline of a run up to `end`: the first segments of `total`. */
export interface TimelinePage {
  end: number;
  total: number;
  segments: Segment[];
}

export const isEventsPage = allOf<EventsPage>({
  offset: isCount,
  total: isCount,
  // Other fields of an event are only displayed.
  events: listOf(
    allOf<Pick<EventRecord, "at" | "type">>({ at: isNumber, type: isString }),
  ) as Guard<EventRecord[]>,
});

export const isTimelinePage = allOf<TimelinePage>({
  end: isNumber,
  total: isCount,
  segments: listOf(
    allOf<Segment>({
      kind: oneOf("waiting", "reasoning", "text", "tool", "approval", "step"),
      label: isString,
      start: isNumber,
      end: isNumber,
      status: orNull(isString),
      detail: isString,
    }),
  ),
});
