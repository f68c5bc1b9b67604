// What the kernel and the page say of the runs that are watched: the mirror of
// agentnb/widgets/monitor.py.
//
// Both sides are held together by tests/fixtures/tables/monitor.json.

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

/** One run that is watched. */
export interface WatchedRow {
  key: string;
  run_id: string | null;
  platform: string;
  agent: string;
  /** What it was asked, or what it is called. */
  title: string;
  status: Status;
  /** Seconds since it began, when the message was made; null where that is not known. */
  elapsed: number | null;
  /** How far it is, in words. */
  detail: string;
  tokens: number | null;
  error: string | null;
  final: boolean;
  can_stop: boolean;
}

/** How the watching itself goes. */
export interface Watching {
  /** Whether it has ended: by itself, once all runs have, or because somebody ended it. */
  over: boolean;
  /** Whether platforms are asked at all; the runs of this kernel tell by themselves. */
  polls: boolean;
  /** Seconds since the platforms were last asked; null before. */
  asked: number | null;
  /** Seconds from one question to the next, as it is now. */
  interval: number;
  /** Whether they are asked less often than at first, since nothing changed. */
  slow: boolean;
  /** What was the matter when they were last asked. */
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

/** Tells whether a value is a message of this protocol, to its last field. */
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
