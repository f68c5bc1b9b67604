// A comparison in the page: one channel to the kernel, shared by its runs.

import { allOf, isObject, isString, listOf } from "../guards.js";
import { isSnapshot, type PageMessage, type Snapshot } from "../protocol.js";
import { type Channel, RunSession } from "../session.js";
import { SnapshotWriter } from "../snapshot-writer.js";

/** The channel of a widget with several runs. */
export type RunsChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw or be lost silently if the kernel is gone. */
  send(message: CompareMessage): void;
  /** Stores the runs in the host's model, to be saved with the notebook, without sending them. */
  keep(snapshot: unknown): void;
};

export type CompareMessage = { type: "run"; turn: string; message: PageMessage } | { type: "stop" };

/** The constant part of a comparison. */
export interface CompareState {
  prompt: string;
  title: string;
  runs: { id: string; label: string; run: Snapshot }[];
}

/** One of the answers. */
export interface Compared {
  readonly id: string;
  readonly label: string;
  readonly session: RunSession;
}

const isCompareState = allOf<CompareState>({
  prompt: isString,
  title: isString,
  runs: listOf(allOf({ id: isString, label: isString, run: isSnapshot })),
});

export class CompareSession {
  prompt = "";
  title = "";
  runs: Compared[] = [];
  readonly #channel: RunsChannel;
  readonly #listeners = new Set<() => void>();
  readonly #aborter = new AbortController();
  readonly #writer = new SnapshotWriter(() => this.#keep());
  #stoppingAll = false;

  constructor(channel: RunsChannel) {
    this.#channel = channel;
    this.#read();
    channel.listen(
      { message: () => {}, lost: () => {}, snapshot: () => this.#read() },
      this.#aborter.signal,
    );
  }

  /** Whether no run can change any more. */
  get final(): boolean {
    return this.runs.every(({ session }) => session.final);
  }

  /** Asks the kernel, in one message, to stop all unfinished runs. */
  stop(): void {
    const before = this.#stoppable();
    this.#stoppingAll = true;
    for (const { session } of before) session.stop();
    this.#stoppingAll = false;
    if (before.length === 0) return;
    try {
      this.#channel.send({ type: "stop" });
    } catch {
      // A closed comm throws in some hosts; the runs report it.
    }
  }

  /** Whether every unfinished run was asked to stop and has not answered yet. */
  get stopping(): boolean {
    return !this.final && this.#stoppable().length === 0;
  }

  /** Calls back after a change of a run, or of the list of runs; returns how to unsubscribe. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#aborter.abort();
    this.#writer.flush();
    for (const { session } of this.runs) session.dispose();
    this.#listeners.clear();
  }

  #stoppable(): Compared[] {
    return this.runs.filter(
      ({ session: { final, stopState } }) =>
        !final && (stopState === "none" || stopState === "unanswered"),
    );
  }

  #state(): CompareState | null {
    const kept = this.#channel.snapshot();
    return isObject(kept) && isCompareState(kept.compare) ? kept.compare : null;
  }

  /** Reads the list of runs, as soon as the kernel has sent it. */
  #read(): void {
    const state = this.runs.length > 0 ? null : this.#state();
    if (!state) return;
    this.prompt = state.prompt;
    this.title = state.title;
    this.runs = state.runs.map(({ id, label }) => {
      const session = new RunSession(this.#part(id));
      this.#keepEnd(session);
      session.subscribe(() => this.#notify());
      return { id, label, session };
    });
    this.#notify();
  }

  /** Stores a finished run, and later changes; the kernel writes only when all have ended. */
  #keepEnd(session: RunSession): void {
    let kept = session.final ? session.seq : null;
    session.subscribe(() => {
      if (!session.final || session.lost || session.seq === kept) return;
      if (kept === null) this.#writer.write();
      else this.#writer.writeSoon();
      kept = session.seq;
    });
  }

  #keep(): void {
    const state = this.#state();
    if (!state) return;
    const runs = this.runs.map(({ id, label, session }) => ({ id, label, run: session.snapshot }));
    const whole = this.#channel.snapshot() as Record<string, unknown>;
    this.#channel.keep({ ...whole, compare: { ...state, runs } });
  }

  /** The part of the channel for one run. */
  #part(id: string): Channel {
    const channel = this.#channel;
    return {
      snapshot: () => this.#state()?.runs.find((run) => run.id === id)?.run,
      send: (message) => {
        // One message to the kernel stops all runs.
        if (message.type === "stop" && this.#stoppingAll) return;
        channel.send({ type: "run", turn: id, message });
      },
      listen: (on, signal) => {
        const message = (value: unknown) => {
          if (isObject(value) && value.type === "run" && value.turn === id)
            on.message(value.message);
        };
        const snapshot = () => {
          if (!this.#writer.writing) on.snapshot();
        };
        channel.listen({ message, snapshot, lost: on.lost }, signal);
      },
    };
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
