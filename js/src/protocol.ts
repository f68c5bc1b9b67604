// Messages between kernel and page for a run: the counterpart of agentnb/widgets/protocol.py.
//
// The fixtures in tests/fixtures/protocol test both sides. Each message is validated field by
// field: one of another version must lead to a resync, never to a half-applied state.

import {
  allOf,
  type Fields,
  type Guard,
  isBoolean,
  isCount,
  isNumber,
  isObject,
  isString,
  listOf,
  oneOf,
  optional,
  orNull,
  someOf,
} from "./guards.js";

import { type EventsPage, isEventsPage, isTimelinePage, type TimelinePage } from "./pages.js";

export type { EventRecord, EventsPage, Segment, TimelinePage } from "./pages.js";

export type Status =
  | "queued"
  | "running"
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "truncated"
  | "interrupted";

export type ToolStatus = "running" | "completed" | "failed" | "abandoned";

export interface Passage {
  kind: "text" | "reasoning" | "refusal";
  /** Number of the steps that the part is within; missing for none. */
  depth?: number;
  text: string;
  /** Number of characters that are only in the kernel. */
  text_more: number;
}

export interface ToolCall {
  kind: "tool";
  depth?: number;
  call_id: string;
  name: string;
  arguments: string;
  /** As `text_more` of a passage. */
  arguments_more: number;
  result: string;
  result_more: number;
  error: string | null;
  status: ToolStatus;
  /** Seconds since the request; null if no times were recorded. */
  started: number | null;
  finished: number | null;
}

/**
 * A step of the run or a sub-agent; the following parts of a greater depth belong to it. One that
 * goes on after parts of others is repeated.
 */
export interface Step {
  kind: "step";
  depth?: number;
  step_id: string;
  name: string;
  error: string | null;
  status: ToolStatus;
  started: number | null;
  finished: number | null;
}

/** An image or another file that the run produced. */
export interface Media {
  kind: "media";
  depth?: number;
  /** An address, or a `data:` URL with the content; "" if that is too long. */
  url: string;
  /** Number of characters of an address that is only in the kernel. */
  url_more: number;
  mime_type: string;
  name: string | null;
}

export type Part = Passage | ToolCall | Step | Media;

/** A source that the answer cites. */
export interface Citation {
  url: string | null;
  title: string | null;
  quote: string | null;
}

export interface Usage {
  input_tokens?: number;
  output_tokens?: number;
  total_tokens?: number;
  /** Part of the input tokens. */
  cached_tokens?: number;
  /** Part of the output tokens. */
  reasoning_tokens?: number;
  cost_usd?: number;
}

export interface Approval {
  approval_id: string | null;
  message: string;
  tool: string | null;
  arguments: string;
  /** Identifies this request; missing in what earlier versions saved. */
  key?: string;
  /** Whether its id was first requested for another call. */
  changed?: boolean;
  /** The JSON schema of an answer, as JSON; "" for none. This and the next may be missing. */
  answer_schema?: string;
  /** Time from which the platform takes no decision, in ISO 8601. */
  expires_at?: string | null;
}

export interface RunError {
  message: string;
  code: string | null;
}

/** A pending reconnect or retry of the request. */
export interface Waiting {
  kind: "reconnect" | "retry";
  /** From 1. */
  attempt: number;
  of: number;
  /** Seconds until the attempt, from the run's `elapsed` on; 0 during the attempt. */
  seconds: number;
  reason: string;
}

/** The whole state of a run. Times are in seconds. */
export interface RunState {
  status: Status;
  run_id: string | null;
  session_id: string | null;
  agent: string | null;
  model: string | null;
  parts: Part[];
  usage: Usage | null;
  followups: string[];
  /** This and the next two are missing in what earlier versions saved. */
  citations?: Citation[];
  custom_events?: number;
  /** What the agent shares as its state, as JSON; truncated if it is long. */
  state?: string | null;
  approvals: Approval[];
  /** Number of unknown or malformed wire events. */
  raw_events: number;
  error: RunError | null;
  waiting: Waiting | null;
  title: string;
  platform: string;
  prompt: string;
  /** Since the request, by the kernel's clock, when the message was created. */
  elapsed: number;
  time_to_first_token: number | null;
  duration: number | null;
  /** The platform's own figure; missing in what earlier versions saved. */
  platform_duration?: number | null;
  notice: string | null;
  /** Whether this view may decide approvals. */
  can_decide: boolean;
}

/** Fields of a run that a `run` operation may change. */
export type RunChanges = Partial<RunState>;

/** Fields of a part that a `set` operation may change. */
export type PartChanges = Partial<Omit<ToolCall, "kind"> & Omit<Passage, "kind">>;

export type AppendField = "text" | "arguments" | "result";

export type Op =
  | { op: "run"; set: RunChanges }
  | { op: "part"; index: number; part: Part }
  /** `offset` is in UTF-16 code units and must be the field's length. */
  | { op: "append"; index: number; field: AppendField; offset: number; text: string }
  | { op: "set"; index: number; set: PartChanges };

export interface Snapshot {
  seq: number;
  run: RunState;
}

export type KernelMessage =
  | { type: "ops"; seq: number; ops: Op[] }
  | ({ type: "snapshot" } & Snapshot)
  | ({ type: "events" } & EventsPage)
  | ({ type: "timeline" } & TimelinePage)
  | { type: "ack"; of: "stop" | "decide" };

export type PageMessage =
  | { type: "resync"; seq: number }
  | { type: "stop" }
  | { type: "events"; offset: number }
  | { type: "timeline" }
  /** `payload` is the answer as JSON, of at most 100,000 characters. */
  | {
      type: "decide";
      approval_id: string | null;
      key?: string;
      approved: boolean;
      payload?: string;
    };

const FINAL: ReadonlySet<Status> = new Set([
  "completed",
  "failed",
  "cancelled",
  "truncated",
  "interrupted",
]);

/** Returns whether a run with this status cannot change any more. */
export const isFinal = (status: Status): boolean => FINAL.has(status);

const isUsage = someOf<Usage>({
  input_tokens: isNumber,
  output_tokens: isNumber,
  total_tokens: isNumber,
  cached_tokens: isNumber,
  reasoning_tokens: isNumber,
  cost_usd: isNumber,
}) as Guard<Usage>;

const isToolStatus = oneOf<ToolStatus>("running", "completed", "failed", "abandoned");

const toolFields: Fields<Omit<ToolCall, "kind">> = {
  depth: optional(isCount),
  call_id: isString,
  name: isString,
  arguments: isString,
  arguments_more: isCount,
  result: isString,
  result_more: isCount,
  error: orNull(isString),
  status: isToolStatus,
  started: orNull(isNumber),
  finished: orNull(isNumber),
};

const isTool = allOf<ToolCall>({ kind: oneOf("tool"), ...toolFields });
const passageFields: Fields<Omit<Passage, "kind">> = {
  depth: optional(isCount),
  text: isString,
  text_more: isCount,
};
const isPassage = allOf<Passage>({
  kind: oneOf("text", "reasoning", "refusal"),
  ...passageFields,
});
const isStep = allOf<Step>({
  kind: oneOf("step"),
  depth: optional(isCount),
  step_id: isString,
  name: isString,
  error: orNull(isString),
  status: isToolStatus,
  started: orNull(isNumber),
  finished: orNull(isNumber),
});
const isMedia = allOf<Media>({
  kind: oneOf("media"),
  depth: optional(isCount),
  url: isString,
  url_more: isCount,
  mime_type: isString,
  name: orNull(isString),
});
const isPart = (v: unknown): v is Part => isPassage(v) || isTool(v) || isStep(v) || isMedia(v);

const runFields: Fields<RunState> = {
  status: oneOf<Status>(
    "queued",
    "running",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "truncated",
    "interrupted",
  ),
  run_id: orNull(isString),
  session_id: orNull(isString),
  agent: orNull(isString),
  model: orNull(isString),
  parts: listOf(isPart),
  usage: orNull(isUsage),
  followups: listOf(isString),
  citations: optional(
    listOf(
      allOf<Citation>({ url: orNull(isString), title: orNull(isString), quote: orNull(isString) }),
    ),
  ),
  custom_events: optional(isCount),
  state: optional(orNull(isString)),
  approvals: listOf(
    allOf<Approval>({
      approval_id: orNull(isString),
      message: isString,
      tool: orNull(isString),
      arguments: isString,
      key: optional(isString),
      changed: optional(isBoolean),
      answer_schema: optional(isString),
      expires_at: optional(orNull(isString)),
    }),
  ),
  raw_events: isCount,
  error: orNull(allOf<RunError>({ message: isString, code: orNull(isString) })),
  waiting: orNull(
    allOf<Waiting>({
      kind: oneOf("reconnect", "retry"),
      attempt: isCount,
      of: isCount,
      seconds: isNumber,
      reason: isString,
    }),
  ),
  title: isString,
  platform: isString,
  prompt: isString,
  elapsed: isNumber,
  time_to_first_token: orNull(isNumber),
  duration: orNull(isNumber),
  platform_duration: optional(orNull(isNumber)),
  notice: orNull(isString),
  can_decide: isBoolean,
};

const isRun = allOf(runFields);
const isRunChanges = someOf(runFields);
const isPartChanges = someOf({ ...toolFields, ...passageFields }) as Guard<PartChanges>;
const isAppendField = oneOf<AppendField>("text", "arguments", "result");

const isAcknowledged = oneOf<"stop" | "decide">("stop", "decide");
function isOp(v: unknown): v is Op {
  if (!isObject(v)) return false;
  switch (v.op) {
    case "run":
      return isRunChanges(v.set);
    case "part":
      return isCount(v.index) && isPart(v.part);
    case "append":
      return isCount(v.index) && isAppendField(v.field) && isCount(v.offset) && isString(v.text);
    case "set":
      return isCount(v.index) && isPartChanges(v.set);
    default:
      return false;
  }
}

/** Validates a whole snapshot, as in the trait and in the snapshot message. */
export function isSnapshot(v: unknown): v is Snapshot {
  return isObject(v) && isCount(v.seq) && isRun(v.run);
}

/** Validates all fields of a message of this protocol. */
export function isKernelMessage(v: unknown): v is KernelMessage {
  if (!isObject(v)) return false;
  switch (v.type) {
    case "ops":
      return isCount(v.seq) && listOf(isOp)(v.ops);
    case "snapshot":
      return isSnapshot(v);
    case "events":
      return isEventsPage(v);
    case "timeline":
      return isTimelinePage(v);
    case "ack":
      return isAcknowledged(v.of);
    default:
      return false;
  }
}
