// The watched runs in the page.

import { Frame } from "../frame.js";
import { isCount, isObject } from "../guards.js";
import { ACK_MS, IdleTimer } from "../idle-timer.js";
import type { Channel, ClickState } from "../session.js";
import { SnapshotWriter } from "../snapshot-writer.js";
import {
  isMonitorMessage,
  isMonitorState,
  type MonitorCommand,
  type MonitorState,
  type WatchedRow,
  type Watching,
} from "./protocol.js";

/** The channel of a monitor. */
export type MonitorChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw or be lost silently if the kernel is gone. */
  send(message: MonitorCommand): void;
  /** Stores the rows in the host's model, to be saved with the notebook, without sending them. */
  keep(snapshot: unknown): void;
};

/** State of a click on Stop, and why it failed. */
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
  /** When each row was updated, by this page's clock, in milliseconds. */
  readonly #updatedAt = new Map<string, number>();
  readonly #clicks = new Map<string, Click>();
  readonly #listeners = new Set<() => void>();
  readonly #frame = new Frame(() => this.#notify());
  readonly #aborter = new AbortController();
  readonly #writer = new SnapshotWriter(() => this.#keep());
  readonly #idle = new IdleTimer(() => this.#resync());
  watching: Watching = NO_WATCHING;
  #polledAt = now();
  #seq = 0;
  #hasState = false;
  #broken = false;
  /**
   * Whether this page has received a message, and whether the host reports that the kernel is gone.
   */
  #hasMessage = false;
  #gone = false;

  constructor(channel: MonitorChannel) {
    this.#channel = channel;
    this.#read();
    channel.listen(
      {
        message: (value) => this.#receive(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#aborter.signal,
    );
    if (!this.over) this.#resync();
  }

  get rows(): WatchedRow[] {
    return [...this.#rows.values()];
  }

  /** Whether nothing can change any more. */
  get over(): boolean {
    return this.watching.over;
  }

  /** Whether the kernel is gone: these are the last rows. */
  get lost(): boolean {
    return !this.over && (this.#gone || (this.#idle.isSilent && !this.#hasMessage));
  }

  /** Whether several messages were not answered. */
  get silent(): boolean {
    return !this.over && this.#idle.isSilent;
  }

  /** Seconds since a run began: the kernel's figure, advanced by the page's clock. */
  elapsed({ key, elapsed, final, status }: WatchedRow): number | null {
    if (elapsed === null || final || status === "paused" || this.lost || this.over) return elapsed;
    return elapsed + (now() - (this.#updatedAt.get(key) ?? now())) / 1000;
  }

  /** Seconds since platforms were last polled, or null. */
  get asked(): number | null {
    const { asked } = this.watching;
    return asked === null ? null : asked + (now() - this.#polledAt) / 1000;
  }

  stopState(key: string): ClickState {
    return this.#clicks.get(key)?.state ?? "none";
  }

  /** Why a run could not be stopped. */
  stopError(key: string): string | null {
    return this.#clicks.get(key)?.error ?? null;
  }

  /** Asks the kernel to stop a run. */
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
    this.#aborter.abort();
    this.#frame.cancel();
    this.#idle.stop();
    this.#writer.flush();
    for (const { timer } of this.#clicks.values()) clearTimeout(timer);
    this.#listeners.clear();
  }

  #receive(value: unknown): void {
    if (!isMonitorMessage(value)) {
      this.#gap();
      return;
    }
    this.#hasMessage = true;
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
        this.#writer.writeSoon();
    }
    this.#changed();
  }

  #gap(): void {
    // Once per gap; if the answer is lost too, the idle timer asks again.
    if (!this.#broken && this.#idle.takeResync()) this.#resync();
    else this.#idle.restart();
    this.#broken = true;
  }

  #replace(seq: number, state: MonitorState): void {
    if (seq < this.#seq && !this.#broken) return;
    this.#seq = seq;
    this.#broken = false;
    this.#hasState = true;
    this.#rows.clear();
    for (const row of state.rows) this.#put(row);
    this.#watch(state.watching);
  }

  #put(row: WatchedRow): void {
    this.#rows.set(row.key, row);
    this.#updatedAt.set(row.key, now());
    // The row displays why a click failed; it may be tried again then.
    if (row.final || !row.can_stop || row.error) {
      clearTimeout(this.#clicks.get(row.key)?.timer);
      this.#clicks.delete(row.key);
    }
  }

  #watch(changes: Partial<Watching>): void {
    this.watching = { ...this.watching, ...changes };
    if ("asked" in changes) this.#polledAt = now();
  }

  #click(key: string, state: ClickState, error: string | null = null): void {
    const click = this.#clicks.get(key);
    if (!click) return;
    clearTimeout(click.timer);
    this.#clicks.set(key, { state, error, timer: undefined });
    this.#frame.request();
  }

  #read(): void {
    if (this.#writer.writing) return;
    const kept = this.#channel.snapshot();
    if (!isObject(kept) || !isCount(kept.seq) || !isMonitorState(kept.monitor)) return;
    if (this.#hasState && kept.seq < this.#seq) return;
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
    this.#idle.answered();
    if (this.over) this.#idle.stop();
    else this.#idle.restart(true);
    this.#frame.request();
  }

  #resync(): void {
    this.#idle.sent();
    this.#send({ type: "resync", seq: this.#seq });
    this.#idle.restart();
    this.#frame.request();
  }

  #send(message: MonitorCommand): void {
    try {
      this.#channel.send(message);
    } catch {
      // A closed comm throws in some hosts; the timers go on and the view reports it.
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

function now(): number {
  return performance.now();
}
