// The page's copy of a run: a fold of the kernel's messages, without clock, socket or DOM.
//
// It changes in place, so that a long answer stays linear. A part keeps its identity while its text
// grows, and is a new object when its text is replaced: views rely on that to update.

import type { KernelMessage, Op, Part, RunState, Snapshot } from "./protocol.js";

/** Result of a message: `gap` means that the copy is invalid and needs a snapshot. */
export type Outcome = "applied" | "ignored" | "gap";

/** The state before the first message. */
export function emptyRun(): RunState {
  return {
    status: "queued",
    run_id: null,
    session_id: null,
    agent: null,
    model: null,
    parts: [],
    usage: null,
    followups: [],
    approvals: [],
    raw_events: 0,
    error: null,
    waiting: null,
    title: "",
    platform: "",
    prompt: "",
    elapsed: 0,
    time_to_first_token: null,
    duration: null,
    notice: null,
    can_decide: false,
  };
}

export class Transcript {
  run: RunState;
  /** Number of the last applied message. */
  seq: number;
  /** True from a gap until a snapshot; operations in between cannot be applied. */
  broken = false;

  constructor(snapshot: Snapshot | null = null) {
    this.run = snapshot === null ? emptyRun() : own(snapshot.run);
    this.seq = snapshot?.seq ?? 0;
  }

  /** Applies a message. Acknowledgements and pages of events carry no state and are ignored. */
  apply(message: KernelMessage): Outcome {
    if (message.type === "snapshot") return this.replace(message);
    if (message.type !== "ops") return "ignored";
    if (message.seq <= this.seq) return "ignored";
    if (this.broken || message.seq !== this.seq + 1) return this.gap();
    for (const op of message.ops) if (!this.#applyOp(op)) return this.gap();
    this.seq = message.seq;
    return "applied";
  }

  /** Replaces the state, unless this copy is newer. */
  replace(snapshot: Snapshot): Outcome {
    if (snapshot.seq < this.seq && !this.broken) return "ignored";
    this.run = own(snapshot.run);
    this.seq = snapshot.seq;
    this.broken = false;
    return "applied";
  }

  /** A copy to be stored, without a pending retry. */
  snapshot(): Snapshot {
    return { seq: this.seq, run: { ...own(this.run), waiting: null } };
  }

  /** Records a missing or invalid message. */
  gap(): Outcome {
    this.broken = true;
    return "gap";
  }

  #applyOp(op: Op): boolean {
    const { parts } = this.run;
    switch (op.op) {
      case "run": {
        const { parts: replaced, ...changes } = op.set;
        Object.assign(this.run, changes);
        if (replaced) this.run.parts = [...replaced];
        return true;
      }
      case "part":
        if (op.index > parts.length) return false;
        parts[op.index] = { ...op.part };
        return true;
      case "append": {
        const part = parts[op.index];
        if (!part || !(op.field in part)) return false;
        const fields = part as unknown as Record<typeof op.field, string>;
        if (fields[op.field].length !== op.offset) return false;
        fields[op.field] += op.text;
        return true;
      }
      case "set": {
        const part = parts[op.index];
        if (!part || !Object.keys(op.set).every((name) => name in part)) return false;
        if ("text" in op.set) parts[op.index] = { ...part, ...op.set } as Part;
        else Object.assign(part, op.set);
        return true;
      }
    }
  }
}

/** A copy with parts of its own, since the host's model shares its data. */
function own(run: RunState): RunState {
  return { ...run, parts: run.parts.map((part) => ({ ...part })) };
}
