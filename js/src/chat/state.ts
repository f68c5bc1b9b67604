// The page's copy of a chat: a fold of the kernel's messages, and its branches.

import type { Outcome } from "../transcript.js";
import type { ChatMessage, ChatSnapshot, ChatState, TurnState } from "./protocol.js";

/** The chat before the first message. */
export function emptyChat(): ChatState {
  return {
    title: "",
    agent: "",
    platform: "",
    session_id: null,
    status: "idle",
    media: {
      reason: "The kernel has not answered yet.",
      accept: [],
      max_bytes: 0,
      max_count: 0,
      alone: false,
    },
    turns: [],
    shown: null,
    notice: null,
  };
}

export class ChatFold {
  chat: ChatState;
  /** Number of the last applied message. */
  seq: number;
  /** True from a gap until a snapshot. */
  broken = false;

  constructor(snapshot: ChatSnapshot | null = null) {
    this.chat = snapshot === null ? emptyChat() : own(snapshot.chat);
    this.seq = snapshot?.seq ?? 0;
  }

  /** Applies a message; those without state of the chat itself are ignored. */
  apply(message: ChatMessage): Outcome {
    if (message.type === "snapshot") return this.replace(message);
    if (message.type !== "chat" || message.seq <= this.seq) return "ignored";
    if (this.broken || message.seq !== this.seq + 1) return this.gap();
    const { turns } = this.chat;
    for (const op of message.ops) {
      if (op.op === "chat") Object.assign(this.chat, op.set);
      else if (op.index <= turns.length) turns[op.index] = op.turn;
      else return this.gap();
    }
    this.seq = message.seq;
    return "applied";
  }

  /** Replaces the chat, unless this copy is newer. */
  replace(snapshot: ChatSnapshot): Outcome {
    if (snapshot.seq < this.seq && !this.broken) return "ignored";
    this.chat = own(snapshot.chat);
    this.seq = snapshot.seq;
    this.broken = false;
    return "applied";
  }

  /** Records a missing or invalid message. */
  gap(): Outcome {
    this.broken = true;
    return "gap";
  }
}

/** A copy with a list of its own, since the host's model shares its data. */
function own(chat: ChatState): ChatState {
  return { ...chat, turns: [...chat.turns] };
}

/** The turns from a first question to this one. */
export function branch(turns: readonly TurnState[], shown: string | null): TurnState[] {
  const byId = new Map(turns.map((turn) => [turn.id, turn]));
  const path: TurnState[] = [];
  for (let at = shown; at !== null; ) {
    const turn = byId.get(at);
    // Removed when visited, so that a cycle of parents ends.
    if (!turn || !byId.delete(at)) break;
    path.push(turn);
    at = turn.parent;
  }
  return path.reverse();
}

/** The latest turn after this one, or itself: the end of its branch. */
export function leaf(turns: readonly TurnState[], id: string): string {
  const after = new Set([id]);
  let last = id;
  for (const turn of turns) {
    if (turn.parent !== null && after.has(turn.parent)) {
      after.add(turn.id);
      last = turn.id;
    }
  }
  return last;
}

/** The ids of all versions of each question, by the turn before it ("" for a first one). */
export function versions(turns: readonly TurnState[]): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const turn of turns) {
    const key = turn.parent ?? "";
    const those = found.get(key);
    if (those) those.push(turn.id);
    else found.set(key, [turn.id]);
  }
  return found;
}
