// Messages between kernel and page for a chat: the counterpart of agentnb/widgets/chat_protocol.py.
//
// Messages of a run are those of a cell, wrapped in an envelope with the turn.

import {
  allOf,
  type Fields,
  isBoolean,
  isCount,
  isObject,
  isString,
  listOf,
  oneOf,
  orNull,
  someOf,
} from "../guards.js";
import {
  isSnapshot,
  type PageMessage as RunMessage,
  type Snapshot,
  type Status,
} from "../protocol.js";

export interface Attachment {
  name: string;
  mime_type: string | null;
  size: number | null;
  /** A thumbnail as a data URL. */
  preview: string | null;
}

export interface TurnState {
  id: string;
  /** The turn before this question, or null. */
  parent: string | null;
  prompt: string;
  note: string | null;
  session_id: string | null;
  attachments: Attachment[];
  /** The run at the time of the message; later changes are in its own transcript. */
  run: Snapshot;
  /** Increased when another run replaces the turn's run. */
  generation: number;
}

export interface Media {
  /** Why attachments are not supported, or null. */
  reason: string | null;
  /** Media types and patterns such as "image/*"; empty for any. */
  accept: string[];
  max_bytes: number;
  max_count: number;
  /** Whether they may be sent without a question. */
  alone: boolean;
}

export interface ChatHead {
  title: string;
  agent: string;
  platform: string;
  session_id: string | null;
  status: "idle" | Status;
  media: Media;
  /** The last turn of the current branch. */
  shown: string | null;
  notice: string | null;
}

export interface ChatState extends ChatHead {
  /** All branches of the conversation, in order of creation. */
  turns: TurnState[];
}

export interface ChatSnapshot {
  seq: number;
  chat: ChatState;
}

export type ChatOp =
  | { op: "chat"; set: Partial<ChatHead> }
  | { op: "turn"; index: number; turn: TurnState };

export interface EarlierSession {
  key: string;
  title: string;
  turns: number;
  /** ISO 8601. */
  updated: string;
  current: boolean;
}

export type ChatMessage =
  | { type: "chat"; seq: number; ops: ChatOp[] }
  | ({ type: "snapshot" } & ChatSnapshot)
  | { type: "run"; turn: string; message: unknown }
  | { type: "ack"; id: string }
  | { type: "refused"; id: string; message: string }
  | { type: "sessions"; id: string; sessions: EarlierSession[] };

export interface SentAttachment extends Attachment {
  upload: string;
}

/** Commands; each is acknowledged by its id. */
export type ChatCommand =
  | {
      type: "send";
      id: string;
      parent: string | null;
      text: string;
      attachments: SentAttachment[];
      /** The turn of which this question is another version. */
      edit?: string;
      /** The turn whose attachments are reused. */
      keep?: string;
    }
  | { type: "again"; id: string; turn: string }
  | { type: "show"; id: string; turn: string }
  | { type: "new"; id: string }
  | { type: "sessions"; id: string }
  | { type: "open"; id: string; key: string };

export type ChatPageMessage =
  | ChatCommand
  | { type: "resync"; seq: number }
  | { type: "upload"; upload: string; index: number; last: boolean }
  | { type: "run"; turn: string; message: RunMessage };

/** Only formats that browsers decode as plain images are displayed. */
export const isPreview = (v: unknown): v is string =>
  isString(v) && v.length <= 16_384 && /^data:image\/(png|jpeg|webp|gif);base64,/.test(v);

const isAttachment = allOf<Attachment>({
  name: isString,
  mime_type: orNull(isString),
  size: orNull(isCount),
  preview: orNull(isString),
});

const isTurn = allOf<TurnState>({
  id: isString,
  parent: orNull(isString),
  prompt: isString,
  note: orNull(isString),
  session_id: orNull(isString),
  attachments: listOf(isAttachment),
  run: isSnapshot,
  generation: isCount,
});

const headFields: Fields<ChatHead> = {
  title: isString,
  agent: isString,
  platform: isString,
  session_id: orNull(isString),
  status: oneOf<ChatHead["status"]>(
    "idle",
    "queued",
    "running",
    "paused",
    "completed",
    "failed",
    "cancelled",
    "truncated",
    "interrupted",
  ),
  media: allOf<Media>({
    reason: orNull(isString),
    accept: listOf(isString),
    max_bytes: isCount,
    max_count: isCount,
    alone: isBoolean,
  }),
  shown: orNull(isString),
  notice: orNull(isString),
};

const isHeadChanges = someOf(headFields);
const isChat = allOf<ChatState>({ ...headFields, turns: listOf(isTurn) });
const isSession = allOf<EarlierSession>({
  key: isString,
  title: isString,
  turns: isCount,
  updated: isString,
  current: isBoolean,
});

function isChatOp(v: unknown): v is ChatOp {
  if (!isObject(v)) return false;
  if (v.op === "chat") return isHeadChanges(v.set);
  return v.op === "turn" && isCount(v.index) && isTurn(v.turn);
}

/** Validates a whole chat, as in the trait and in the snapshot message. */
export function isChatSnapshot(v: unknown): v is ChatSnapshot {
  return isObject(v) && isCount(v.seq) && isChat(v.chat);
}

/** Validates a message of this protocol, except the content of a run's envelope. */
export function isChatMessage(v: unknown): v is ChatMessage {
  if (!isObject(v)) return false;
  switch (v.type) {
    case "run":
      return isString(v.turn);
    case "chat":
      return isCount(v.seq) && listOf(isChatOp)(v.ops);
    case "snapshot":
      return isChatSnapshot(v);
    case "ack":
      return isString(v.id);
    case "refused":
      return isString(v.id) && isString(v.message);
    case "sessions":
      return isString(v.id) && listOf(isSession)(v.sessions);
    default:
      return false;
  }
}
