// Messages between the kernel and the page about a chat: the mirror of
// agentnb/widgets/chat_protocol.py.
//
// A run's messages are the same as in a cell, in an envelope with the turn's id.

import {
  allOf,
  type Fields,
  isBoolean,
  isCount,
  isObject,
  isSnapshot,
  isString,
  listOf,
  oneOf,
  orNull,
  type PageMessage as RunMessage,
  type Snapshot,
  type Status,
  someOf,
} from "../protocol.js";

export interface Attachment {
  name: string;
  mime_type: string | null;
  size: number | null;
  /** Thumbnail as a data URL, for display only. */
  preview: string | null;
}

export interface TurnState {
  id: string;
  /** The preceding turn; null for a first question. */
  parent: string | null;
  prompt: string;
  note: string | null;
  session_id: string | null;
  attachments: Attachment[];
  /** The run as of the message that carried it; later changes are in the run's session. */
  run: Snapshot;
  /** Incremented whenever another run replaces the turn's run. */
  generation: number;
}

export interface Media {
  /** Why attachments are disabled; null where they are enabled. */
  reason: string | null;
  /** Media types and patterns such as "image/*"; empty for any. */
  accept: string[];
  max_bytes: number;
  max_count: number;
  /** Whether attachments may be sent without a question. */
  alone: boolean;
}

export interface ChatHead {
  title: string;
  agent: string;
  platform: string;
  session_id: string | null;
  status: "idle" | Status;
  media: Media;
  /** The last turn of the displayed branch. */
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

/** Commands to the kernel; each is acknowledged by its id. */
export type ChatCommand =
  | {
      type: "send";
      id: string;
      parent: string | null;
      text: string;
      attachments: SentAttachment[];
      /** The turn whose question this is another version of. */
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

/** Accept only raster images that browsers decode; other data URLs are not displayed. */
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

/** Return whether a value is a complete chat, as in the trait and the `snapshot` message. */
export function isChatSnapshot(v: unknown): v is ChatSnapshot {
  return isObject(v) && isCount(v.seq) && isChat(v.chat);
}

/** Return whether a value is a valid message; the content of a `run` envelope is not checked. */
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
