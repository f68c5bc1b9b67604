// What the kernel and the page say to each other about a whole chat: the mirror of
// agentnb/widgets/chat_protocol.py.
//
// A run's own messages are the same as in a cell and travel in an envelope that names the turn.

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
  /** A small picture as a data URL, for the eye only. */
  preview: string | null;
}

export interface TurnState {
  id: string;
  /** The turn that this question follows; null for a first one. */
  parent: string | null;
  prompt: string;
  note: string | null;
  session_id: string | null;
  attachments: Attachment[];
  /** The run as of the message that carried it; what came since is in its own fold. */
  run: Snapshot;
  /** Raised whenever another run takes the place of the turn's run. */
  generation: number;
}

export interface Media {
  /** Why no attachments are taken; null where they are. */
  reason: string | null;
  /** Media types and patterns such as "image/*"; none means any. */
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
  /** The last turn of the branch shown. */
  shown: string | null;
  notice: string | null;
}

export interface ChatState extends ChatHead {
  /** All branches of the conversation, in order of making. */
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

/** What asks the kernel for something; each is acknowledged by its id. */
export type ChatCommand =
  | {
      type: "send";
      id: string;
      parent: string | null;
      text: string;
      attachments: SentAttachment[];
      /** The turn whose question this is another version of. */
      edit?: string;
      /** The turn whose attachments this one has too. */
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

/** Only what a browser decodes as a plain picture: a data URL of anything else is not shown. */
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

/** Tells whether a value is a whole chat, as the trait and the message of that name carry it. */
export function isChatSnapshot(v: unknown): v is ChatSnapshot {
  return isObject(v) && isCount(v.seq) && isChat(v.chat);
}

/** Tells whether a value is a message of this protocol. What a run's envelope holds is the run's. */
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
