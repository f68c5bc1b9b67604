// A comparison as the page follows it: one channel to the kernel, and a run over each part of it.

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

/** The way to the kernel of a widget that shows several runs. */
export type RunsChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw or be lost without a word: the kernel can be gone. */
  send(message: CompareMessage): void;
  /** Puts the runs into the host's model, to be saved with the notebook, and not sent. */
  keep(snapshot: unknown): void;
};

export type CompareMessage = { type: "run"; turn: string; message: PageMessage } | { type: "stop" };

/** Everything that is told of a comparison as a whole; it never changes but for its runs. */
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

  /** Asks the kernel, in one message, to stop all runs that go on. */
  stop(): void {
    const before = this.#stoppable();
    this.#stoppingAll = true;
    for (const { session } of before) session.stop();
    this.#stoppingAll = false;
    if (before.length === 0) return;
    try {
      this.#channel.send({ type: "stop" });
    } catch {
      // A closed comm throws in some hosts; the runs say what is the matter.
    }
  }

  /** Whether every run that goes on was asked to stop, and may still do so. */
  get stopping(): boolean {
    return !this.final && this.#stoppable().length === 0;
  }

  /** Calls back after a run, or what runs there are, has changed; returns the way to end that. */
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

  /** Takes in what runs there are, as soon as the kernel has told it. */
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

  /** Keeps a run at its end, and what it tells after that; the kernel writes only when all is over. */
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

  /** The part of the channel that is a run's own. */
  #part(id: string): Channel {
    const channel = this.#channel;
    return {
      snapshot: () => this.#state()?.runs.find((run) => run.id === id)?.run,
      send: (message) => {
        // One word to the kernel stops them all.
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
