// Messages about monitored runs: the mirror of agentnb/widgets/monitor.py, checked against the same
// fixture, tests/fixtures/tables/monitor.json.

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
  type Status,
  someOf,
} from "../protocol.js";
import { STATUS_WORDS } from "../view/status.js";

/** A monitored run. */
export interface WatchedRow {
  key: string;
  run_id: string | null;
  platform: string;
  agent: string;
  /** Its prompt or its name. */
  title: string;
  status: Status;
  /** Seconds since its start, when the message was created; null where unknown. */
  elapsed: number | null;
  /** Progress, as text. */
  detail: string;
  tokens: number | null;
  error: string | null;
  final: boolean;
  can_stop: boolean;
}

/** State of the monitoring itself. */
export interface Watching {
  /** Whether it has ended: all runs have ended, or the user stopped it. */
  over: boolean;
  /** Whether platforms are polled; the runs of this kernel report their changes. */
  polls: boolean;
  /** Seconds since the last poll; null before the first. */
  asked: number | null;
  /** Current polling interval in seconds. */
  interval: number;
  /** Whether the interval was increased because nothing changed. */
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

/** Return whether a value is a valid message from the kernel. */
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
