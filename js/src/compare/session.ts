// A comparison's session in the page: one channel to the kernel, shared by the sessions of its runs.

import { Keeper } from "../keeper.js";
import {
  allOf,
  isObject,
  isSnapshot,
  isString,
  listOf,
  type PageMessage,
  type Snapshot,
} from "../protocol.js";
import { type Channel, RunSession } from "../session.js";

/** Channel to the kernel of a widget with several runs. */
export type RunsChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw, or lose the message silently: the kernel may be gone. */
  send(message: CompareMessage): void;
  /** Store the runs in the host's model, to be saved with the notebook, without sending them. */
  keep(snapshot: unknown): void;
};

export type CompareMessage = { type: "run"; turn: string; message: PageMessage } | { type: "stop" };

/** State of a comparison; only its runs change. */
export interface CompareState {
  prompt: string;
  title: string;
  runs: { id: string; label: string; run: Snapshot }[];
}

/** A compared run. */
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
  readonly #ending = new AbortController();
  readonly #keeper = new Keeper(() => this.#keep());
  #stoppingAll = false;

  constructor(channel: RunsChannel) {
    this.#channel = channel;
    this.#read();
    channel.listen(
      { message: () => {}, lost: () => {}, snapshot: () => this.#read() },
      this.#ending.signal,
    );
  }

  /** Whether no run can change any more. */
  get final(): boolean {
    return this.runs.every(({ session }) => session.final);
  }

  /** Request the kernel, in one message, to stop all active runs. */
  stop(): void {
    const before = this.#stoppable();
    this.#stoppingAll = true;
    for (const { session } of before) session.stop();
    this.#stoppingAll = false;
    if (before.length === 0) return;
    try {
      this.#channel.send({ type: "stop" });
    } catch {
      // A closed comm throws in some hosts; the views of the runs display the problem.
    }
  }

  /** Whether every active run has been requested to stop, without a timeout so far. */
  get stopping(): boolean {
    return !this.final && this.#stoppable().length === 0;
  }

  /** Call back after changes of any run or of the list; return a function that unsubscribes. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#ending.abort();
    this.#keeper.end();
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

  /** Create the runs' sessions once the kernel has set the trait. */
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

  /** Save a run at its end and on later changes; the kernel saves only when all runs have ended. */
  #keepEnd(session: RunSession): void {
    let kept = session.final ? session.seq : null;
    session.subscribe(() => {
      if (!session.final || session.lost || session.seq === kept) return;
      if (kept === null) this.#keeper.now();
      else this.#keeper.soon();
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

  /** Return the part of the channel that belongs to one run. */
  #part(id: string): Channel {
    const channel = this.#channel;
    return {
      snapshot: () => this.#state()?.runs.find((run) => run.id === id)?.run,
      send: (message) => {
        // `stop` sends one message for all runs.
        if (message.type === "stop" && this.#stoppingAll) return;
        channel.send({ type: "run", turn: id, message });
      },
      listen: (on, signal) => {
        const message = (value: unknown) => {
          if (isObject(value) && value.type === "run" && value.turn === id)
            on.message(value.message);
        };
        const snapshot = () => {
          if (!this.#keeper.writing) on.snapshot();
        };
        channel.listen({ message, snapshot, lost: on.lost }, signal);
      },
    };
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
