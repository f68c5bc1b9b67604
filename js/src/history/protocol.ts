// Messages between kernel and page for the history: the counterpart of
// agentnb/widgets/history_protocol.py.
//
// tests/fixtures/tables/history.json tests both sides.

import {
  allOf,
  isBoolean,
  isCount,
  isNumber,
  isObject,
  isString,
  listOf,
  orNull,
} from "../guards.js";
import { isSnapshot, type PageMessage, type Snapshot, type Status } from "../protocol.js";
import { STATUS_WORDS } from "../view/status.js";

/** A query; empty texts filter nothing. */
export interface Query {
  text: string;
  agent: string;
  status: string;
  /** Sort column, with "-" before it for descending order. */
  order: string;
  offset: number;
}

/** One run in the list. */
export interface Row {
  key: string;
  run_id: string | null;
  platform: string;
  agent: string;
  status: Status;
  question: string;
  /** Seconds since 1970-01-01 UTC. */
  started: number;
  duration: number | null;
  tokens: number | null;
  cost: number | null;
  error: string | null;
}

export interface Listing {
  query: Query;
  rows: Row[];
  total: number;
  /** Whether there are more than `total`, which is counted up to a limit. */
  more: boolean;
  /** Time of the query, in seconds since 1970-01-01 UTC. */
  at: number;
}

/** State in the trait. */
export interface HistoryState extends Listing {
  /** Earliest start of the listed runs, if limited. */
  since: number | null;
  limit: number;
}

export type HistoryMessage =
  | { type: "page"; id: string; query: Query }
  | { type: "agents" }
  | { type: "open" | "close"; run: string }
  | { type: "run"; turn: string; message: PageMessage };

export type HistoryAnswer =
  /** The kernel has started a query. */
  | { type: "looking"; id: string }
  | ({ type: "page"; id: string; error: null } & Listing)
  | { type: "page"; id: string; error: string }
  | { type: "agents"; agents: string[] }
  | { type: "opened"; run: string; live: boolean; error: null; snapshot: Snapshot }
  | { type: "opened"; run: string; live: boolean; error: string; snapshot: null };

const isStatus = (v: unknown): v is Status => isString(v) && Object.hasOwn(STATUS_WORDS, v);

const isQuery = allOf<Query>({
  text: isString,
  agent: isString,
  status: isString,
  order: isString,
  offset: isCount,
});

const isRow = allOf<Row>({
  key: isString,
  run_id: orNull(isString),
  platform: isString,
  agent: isString,
  status: isStatus,
  question: isString,
  started: isNumber,
  duration: orNull(isNumber),
  tokens: orNull(isNumber),
  cost: orNull(isNumber),
  error: orNull(isString),
});

const listing = {
  query: isQuery,
  rows: listOf(isRow),
  total: isCount,
  more: isBoolean,
  at: isNumber,
};
const isListing = allOf<Listing>(listing);

export const isHistoryState = allOf<HistoryState>({
  ...listing,
  since: orNull(isNumber),
  limit: isCount,
});

/** Validates all fields of a message of this protocol. */
export function isHistoryAnswer(v: unknown): v is HistoryAnswer {
  if (!isObject(v)) return false;
  switch (v.type) {
    case "page":
      return isString(v.id) && (isString(v.error) || (v.error === null && isListing(v)));
    case "looking":
      return isString(v.id);
    case "agents":
      return listOf(isString)(v.agents);
    case "opened":
      if (!isString(v.run) || !isBoolean(v.live)) return false;
      return isString(v.error) || (v.error === null && isSnapshot(v.snapshot));
    default:
      return false;
  }
}
