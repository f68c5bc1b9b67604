// The monitor's session in the page: channel to the kernel, rows, resync.

import { Frame } from "../frame.js";
import { Keeper } from "../keeper.js";
import { ACK_MS, Patience } from "../patience.js";
import { isCount, isObject } from "../protocol.js";
import type { Channel, ClickState } from "../session.js";
import {
  isMonitorMessage,
  isMonitorState,
  type MonitorCommand,
  type MonitorState,
  type WatchedRow,
  type Watching,
} from "./protocol.js";

/** Channel to the kernel of a monitor. */
export type MonitorChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw, or lose the message silently: the kernel may be gone. */
  send(message: MonitorCommand): void;
  /** Store the rows in the host's model, to be saved with the notebook, without sending them. */
  keep(snapshot: unknown): void;
};

/** A click on Stop: its state, and why it had no effect. */
interface Click {
  state: ClickState;
  error: string | null;
  timer: ReturnType<typeof setTimeout> | undefined;
}

const NO_WATCHING: Watching = {
  over: false,
  polls: false,
  asked: null,
  interval: 0,
  slow: false,
  error: null,
};

export class MonitorSession {
  readonly #channel: MonitorChannel;
  readonly #rows = new Map<string, WatchedRow>();
  /** When each row was received, by this page's clock, in milliseconds. */
  readonly #heardAt = new Map<string, number>();
  readonly #clicks = new Map<string, Click>();
  readonly #listeners = new Set<() => void>();
  readonly #frame = new Frame(() => this.#notify());
  readonly #ending = new AbortController();
  readonly #keeper = new Keeper(() => this.#keep());
  readonly #patience = new Patience(() => this.#resync());
  watching: Watching = NO_WATCHING;
  #askedAt = now();
  #seq = 0;
  #told = false;
  #broken = false;
  /** Whether this page has received a message, and whether the host reports the comm as closed. */
  #heard = false;
  #gone = false;

  constructor(channel: MonitorChannel) {
    this.#channel = channel;
    this.#read();
    channel.listen(
      {
        message: (value) => this.#hear(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#ending.signal,
    );
    if (!this.over) this.#resync();
  }

  get rows(): WatchedRow[] {
    return [...this.#rows.values()];
  }

  /** Whether the monitoring has ended. */
  get over(): boolean {
    return this.watching.over;
  }

  /** True when the monitoring kernel is gone: the rows are the last ones received. */
  get lost(): boolean {
    return !this.over && (this.#gone || (this.#patience.over && !this.#heard));
  }

  /** True after several requests without a response. */
  get silent(): boolean {
    return !this.over && this.#patience.over;
  }

  /** Seconds since a run's start: the kernel's figure plus the time since it was received. */
  elapsed({ key, elapsed, final, status }: WatchedRow): number | null {
    if (elapsed === null || final || status === "paused" || this.lost || this.over) return elapsed;
    return elapsed + (now() - (this.#heardAt.get(key) ?? now())) / 1000;
  }

  /** Seconds since the platforms were last polled; null before the first poll. */
  get asked(): number | null {
    const { asked } = this.watching;
    return asked === null ? null : asked + (now() - this.#askedAt) / 1000;
  }

  stopState(key: string): ClickState {
    return this.#clicks.get(key)?.state ?? "none";
  }

  /** Why a run could not be stopped. */
  stopError(key: string): string | null {
    return this.#clicks.get(key)?.error ?? null;
  }

  /** Request the kernel to stop a run. */
  stop(key: string): void {
    const state = this.stopState(key);
    if (state === "sent" || state === "seen") return;
    clearTimeout(this.#clicks.get(key)?.timer);
    const timer = setTimeout(() => {
      if (this.stopState(key) === "sent") this.#click(key, "unanswered");
    }, ACK_MS);
    this.#clicks.set(key, { state: "sent", error: null, timer });
    this.#send({ type: "stop", run: key });
    this.#frame.request();
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dispose(): void {
    this.#ending.abort();
    this.#frame.cancel();
    this.#patience.rest();
    this.#keeper.end();
    for (const { timer } of this.#clicks.values()) clearTimeout(timer);
    this.#listeners.clear();
  }

  #hear(value: unknown): void {
    if (!isMonitorMessage(value)) {
      this.#gap();
      return;
    }
    this.#heard = true;
    this.#gone = false;
    switch (value.type) {
      case "ack":
        this.#click(value.run, value.error === null ? "seen" : "none", value.error);
        break;
      case "snapshot":
        this.#replace(value.seq, value.monitor);
        break;
      case "changes":
        if (value.seq <= this.#seq) break;
        if (this.#broken || value.seq !== this.#seq + 1) {
          this.#gap();
          return;
        }
        this.#seq = value.seq;
        for (const row of value.rows) this.#put(row);
        this.#watch(value.watching);
        this.#keeper.soon();
    }
    this.#changed();
  }

  #gap(): void {
    // Request a resync once per gap; if the response is lost too, the timer repeats the request.
    if (!this.#broken && this.#patience.takeGap()) this.#resync();
    else this.#patience.wait();
    this.#broken = true;
  }

  #replace(seq: number, state: MonitorState): void {
    if (seq < this.#seq && !this.#broken) return;
    this.#seq = seq;
    this.#broken = false;
    this.#told = true;
    this.#rows.clear();
    for (const row of state.rows) this.#put(row);
    this.#watch(state.watching);
  }

  #put(row: WatchedRow): void {
    this.#rows.set(row.key, row);
    this.#heardAt.set(row.key, now());
    // The row now has the error of a failed stop, which may be tried again.
    if (row.final || !row.can_stop || row.error) {
      clearTimeout(this.#clicks.get(row.key)?.timer);
      this.#clicks.delete(row.key);
    }
  }

  #watch(changes: Partial<Watching>): void {
    this.watching = { ...this.watching, ...changes };
    if ("asked" in changes) this.#askedAt = now();
  }

  #click(key: string, state: ClickState, error: string | null = null): void {
    const click = this.#clicks.get(key);
    if (!click) return;
    clearTimeout(click.timer);
    this.#clicks.set(key, { state, error, timer: undefined });
    this.#frame.request();
  }

  #read(): void {
    if (this.#keeper.writing) return;
    const kept = this.#channel.snapshot();
    if (!isObject(kept) || !isCount(kept.seq) || !isMonitorState(kept.monitor)) return;
    if (this.#told && kept.seq < this.#seq) return;
    this.#replace(kept.seq, kept.monitor);
    this.#frame.request();
  }

  #keep(): void {
    const whole = this.#channel.snapshot() as Record<string, unknown> | null;
    const rows = this.rows.map((row) => ({ ...row, elapsed: this.elapsed(row) }));
    const monitor = { rows, watching: { ...this.watching, asked: this.asked } };
    this.#channel.keep({ ...whole, seq: this.#seq, monitor });
  }

  #lose(gone: boolean): void {
    if (gone === this.#gone) return;
    this.#gone = gone;
    if (!gone && !this.over) this.#resync();
    this.#frame.request();
  }

  #changed(): void {
    this.#patience.heard();
    if (this.over) this.#patience.rest();
    else this.#patience.wait(true);
    this.#frame.request();
  }

  #resync(): void {
    this.#patience.asked();
    this.#send({ type: "resync", seq: this.#seq });
    this.#patience.wait();
    this.#frame.request();
  }

  #send(message: MonitorCommand): void {
    try {
      this.#channel.send(message);
    } catch {
      // A closed comm throws in some hosts; the timers keep running and the view displays the problem.
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function now(): number {
  return performance.now();
}
