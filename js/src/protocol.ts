// Messages between the kernel and the page: the mirror of agentnb/widgets/protocol.py, checked
// against the same fixtures in tests/fixtures/protocol.
//
// Every message is validated field by field before it is applied: one of another version must lead
// to a resync, never to a half-applied state.

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
  kind: "text" | "reasoning";
  text: string;
  /** Number of characters omitted from the page; the run in the kernel has them. */
  text_more: number;
}

export interface ToolCall {
  kind: "tool";
  call_id: string;
  name: string;
  arguments: string;
  /** As `text_more` of a passage. */
  arguments_more: number;
  result: string;
  result_more: number;
  error: string | null;
  status: ToolStatus;
  /** Seconds since the run was sent; null where no times were recorded. */
  started: number | null;
  finished: number | null;
}

export type Part = Passage | ToolCall;

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
  /** Identifies this request; absent from state saved by earlier versions. */
  key?: string;
  /** Whether its id was used for a different request before. */
  changed?: boolean;
}

export interface RunError {
  message: string;
  code: string | null;
}

/** What a run waits for besides its agent: reconnecting to its stream, or a retry. */
export interface Waiting {
  kind: "reconnect" | "retry";
  /** From 1. */
  attempt: number;
  of: number;
  /** Seconds until the attempt, counted from the run's `elapsed`; 0 during the attempt. */
  seconds: number;
  reason: string;
}

/** Everything that a view displays of a run. Times are in seconds. */
export interface RunState {
  status: Status;
  run_id: string | null;
  session_id: string | null;
  agent: string | null;
  model: string | null;
  parts: Part[];
  usage: Usage | null;
  followups: string[];
  approvals: Approval[];
  /** Number of wire events kept raw because their kind is unknown or their content malformed. */
  raw_events: number;
  error: RunError | null;
  waiting: Waiting | null;
  title: string;
  platform: string;
  prompt: string;
  /** Seconds since sending, by the kernel's clock, when the message was created. */
  elapsed: number;
  time_to_first_token: number | null;
  duration: number | null;
  /** Duration reported by the platform; absent from state saved by earlier versions. */
  platform_duration?: number | null;
  notice: string | null;
  /** Whether this view may approve or deny; false in a cell. */
  can_decide: boolean;
}

/** The fields of a run that may change in one `run` operation. */
export type RunChanges = Partial<RunState>;

/** The fields of a part that may change in one `set` operation. */
export type PartChanges = Partial<Omit<ToolCall, "kind"> & Omit<Passage, "kind">>;

export type AppendField = "text" | "arguments" | "result";

export type Op =
  | { op: "run"; set: RunChanges }
  | { op: "part"; index: number; part: Part }
  /** `offset` counts UTF-16 code units and must equal the field's current length. */
  | { op: "append"; index: number; field: AppendField; offset: number; text: string }
  | { op: "set"; index: number; set: PartChanges };

export interface Snapshot {
  seq: number;
  run: RunState;
}

/** A recorded event of a run, with long texts truncated. */
export interface EventRecord {
  /** Seconds since the run was sent. */
  at: number;
  type: string;
  [field: string]: unknown;
}

/** A page of a run's events starting at number `offset`, and the current total. */
export interface EventsPage {
  offset: number;
  total: number;
  events: EventRecord[];
}

/** A segment of a run's timeline, in seconds since the run was sent. */
export interface Segment {
  kind: "waiting" | "reasoning" | "text" | "tool" | "approval";
  label: string;
  start: number;
  end: number;
  /** Of a tool call or an approval. */
  status: string | null;
  detail: string;
}

/** A run's timeline up to `end`: the first of `total` segments. */
export interface TimelinePage {
  end: number;
  total: number;
  segments: Segment[];
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
  | { type: "decide"; approval_id: string | null; key?: string; approved: boolean };

const FINAL: ReadonlySet<Status> = new Set([
  "completed",
  "failed",
  "cancelled",
  "truncated",
  "interrupted",
]);

/** Return whether a run of this status can no longer change. */
export const isFinal = (status: Status): boolean => FINAL.has(status);

export type Guard<T> = (value: unknown) => value is T;
export type Fields<T> = { [K in keyof Required<T>]: Guard<Required<T>[K]> };

export const isString = (v: unknown): v is string => typeof v === "string";
export const isBoolean = (v: unknown): v is boolean => typeof v === "boolean";
export const isNumber = (v: unknown): v is number => typeof v === "number" && Number.isFinite(v);
export const isCount = (v: unknown): v is number => Number.isSafeInteger(v) && (v as number) >= 0;

export const isObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === "object" && v !== null && !Array.isArray(v);

export const oneOf =
  <T extends string>(...values: T[]): Guard<T> =>
  (v): v is T =>
    (values as unknown[]).includes(v);

export const orNull =
  <T>(guard: Guard<T>): Guard<T | null> =>
  (v): v is T | null =>
    v === null || guard(v);

/** Guard for a field that may be missing. */
const optional = <T>(guard: Guard<T>): Guard<T> => ((v) => v === undefined || guard(v)) as Guard<T>;

export const listOf =
  <T>(guard: Guard<T>): Guard<T[]> =>
  (v): v is T[] =>
    Array.isArray(v) && v.every(guard);

/** Guard for an object that has all these fields. Other fields are accepted and not read. */
export const allOf =
  <T>(fields: Fields<T>): Guard<T> =>
  (v): v is T => {
    if (!isObject(v)) return false;
    for (const name in fields) if (!fields[name](v[name])) return false;
    return true;
  };

/** Guard for an object that has some of these fields, and no others. */
export const someOf =
  <T>(fields: Fields<T>): Guard<Partial<T>> =>
  (v): v is Partial<T> =>
    isObject(v) &&
    Object.entries(v).every(
      ([name, value]) => Object.hasOwn(fields, name) && fields[name as keyof T](value),
    );

const isUsage = someOf<Usage>({
  input_tokens: isNumber,
  output_tokens: isNumber,
  total_tokens: isNumber,
  cached_tokens: isNumber,
  reasoning_tokens: isNumber,
  cost_usd: isNumber,
}) as Guard<Usage>;

const toolFields: Fields<Omit<ToolCall, "kind">> = {
  call_id: isString,
  name: isString,
  arguments: isString,
  arguments_more: isCount,
  result: isString,
  result_more: isCount,
  error: orNull(isString),
  status: oneOf("running", "completed", "failed", "abandoned"),
  started: orNull(isNumber),
  finished: orNull(isNumber),
};

const isTool = allOf<ToolCall>({ kind: oneOf("tool"), ...toolFields });
const passageFields: Fields<Omit<Passage, "kind">> = { text: isString, text_more: isCount };
const isPassage = allOf<Passage>({ kind: oneOf("text", "reasoning"), ...passageFields });
const isPart = (v: unknown): v is Part => isPassage(v) || isTool(v);

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
  approvals: listOf(
    allOf<Approval>({
      approval_id: orNull(isString),
      message: isString,
      tool: orNull(isString),
      arguments: isString,
      key: optional(isString),
      changed: optional(isBoolean),
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
const isEventsPage = allOf<EventsPage>({
  offset: isCount,
  total: isCount,
  // Other fields are only displayed, as received.
  events: listOf(
    allOf<Pick<EventRecord, "at" | "type">>({ at: isNumber, type: isString }),
  ) as Guard<EventRecord[]>,
});

const isTimelinePage = allOf<TimelinePage>({
  end: isNumber,
  total: isCount,
  segments: listOf(
    allOf<Segment>({
      kind: oneOf("waiting", "reasoning", "text", "tool", "approval"),
      label: isString,
      start: isNumber,
      end: isNumber,
      status: orNull(isString),
      detail: isString,
    }),
  ),
});

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

/** Return whether a value is a complete snapshot, as in the trait and the `snapshot` message. */
export function isSnapshot(v: unknown): v is Snapshot {
  return isObject(v) && isCount(v.seq) && isRun(v.run);
}

/** Return whether a value is a valid message from the kernel. */
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
