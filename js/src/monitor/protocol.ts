// Messages between kernel and page for watched runs: the counterpart of agentnb/widgets/monitor.py.
//
// tests/fixtures/tables/monitor.json tests both sides.

import {
  allOf,
  isBoolean,
  isCount,
  isNumber,
  isObject,
  isString,
  listOf,
  oneOf,
  orNull,
  someOf,
} from "../guards.js";
import type { Status } from "../protocol.js";
import { STATUS_WORDS } from "../view/status.js";

/** One watched run. */
export interface WatchedRow {
  key: string;
  run_id: string | null;
  platform: string;
  agent: string;
  /** Its prompt, or its name. */
  title: string;
  status: Status;
  /** Seconds since it began, when the message was created; null if unknown. */
  elapsed: number | null;
  /** Progress in words. */
  detail: string;
  tokens: number | null;
  error: string | null;
  final: boolean;
  can_stop: boolean;
}

/** State of the watch itself. */
export interface Watching {
  /** Whether it has ended, after all runs or because it was stopped. */
  over: boolean;
  /** Whether platforms are polled; runs of this kernel need no polling. */
  polls: boolean;
  /** Seconds since platforms were last polled, or null. */
  asked: number | null;
  /** Current polling interval in seconds. */
  interval: number;
  /** Whether the interval has grown, since nothing changed. */
  slow: boolean;
  /** Error of the last poll. */
  error: string | null;
}

export interface MonitorState {
  rows: WatchedRow[];
  watching: Watching;
}

export type MonitorMessage =
  | { type: "changes"; seq: number; rows: WatchedRow[]; watching: Partial<Watching> }
  | { type: "snapshot"; seq: number; monitor: MonitorState }
  | { type: "ack"; run: string; error: string | null };

export type MonitorCommand = { type: "resync"; seq: number } | { type: "stop"; run: string };

const isStatus = oneOf(...(Object.keys(STATUS_WORDS) as Status[]));

const isRow = allOf<WatchedRow>({
  key: isString,
  run_id: orNull(isString),
  platform: isString,
  agent: isString,
  title: isString,
  status: isStatus,
  elapsed: orNull(isNumber),
  detail: isString,
  tokens: orNull(isNumber),
  error: orNull(isString),
  final: isBoolean,
  can_stop: isBoolean,
});

const watching = {
  over: isBoolean,
  polls: isBoolean,
  asked: orNull(isNumber),
  interval: isNumber,
  slow: isBoolean,
  error: orNull(isString),
};
const isChanges = someOf<Watching>(watching);

export const isMonitorState = allOf<MonitorState>({
  rows: listOf(isRow),
  watching: allOf<Watching>(watching),
});

/** Validates all fields of a message of this protocol. */
export function isMonitorMessage(v: unknown): v is MonitorMessage {
  if (!isObject(v)) return false;
  switch (v.type) {
    case "changes":
      return isCount(v.seq) && listOf(isRow)(v.rows) && isChanges(v.watching);
    case "snapshot":
      return isCount(v.seq) && isMonitorState(v.monitor);
    case "ack":
      return isString(v.run) && orNull(isString)(v.error);
    default:
      return false;
  }
}
