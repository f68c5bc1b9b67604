// A run's session in the page: channel to the kernel, folded state, resync.

import { Frame } from "./frame.js";
import { ACK_MS, Patience } from "./patience.js";
import {
  type EventsPage,
  isFinal,
  isKernelMessage,
  isSnapshot,
  type PageMessage,
  type RunState,
  type Snapshot,
  type TimelinePage,
  type Waiting,
} from "./protocol.js";
import { Questions, SilentKernelError } from "./questions.js";
import { Transcript } from "./transcript.js";

/** Channel to the kernel, independent of the host. */
export interface Channel {
  /** Return the complete state in the host's model; any value before the kernel has set it. */
  snapshot(): unknown;
  /** May throw, or lose the message silently: the kernel may be gone. */
  send(message: PageMessage): void;
  /**
   * Call back for every message and every new snapshot, until the signal aborts.
   *
   * Hosts that can detect it also call `lost` when the comm closes, and with false when it reopens.
   */
  listen(
    on: { message(value: unknown): void; snapshot(): void; lost(gone?: boolean): void },
    signal: AbortSignal,
  ): void;
}

/** State of a click on Stop or of a decision. */
export type ClickState = "none" | "sent" | "seen" | "unanswered";
export type StopState = ClickState;

/** Time until an acknowledged decision without visible effect may be repeated. */
const EFFECT_MS = 10_000;

export class RunSession {
  readonly #channel: Channel;
  readonly #transcript: Transcript;
  readonly #listeners = new Set<() => void>();
  readonly #frame = new Frame(() => this.#notify());
  readonly #ending = new AbortController();
  #ack: ReturnType<typeof setTimeout> | undefined;
  readonly #patience = new Patience(() => {
    this.#resync();
    this.#frame.request();
  });
  #stop: ClickState = "none";
  #decision: ClickState = "none";
  #decisionTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #events = new Questions<number, EventsPage>((offset) =>
    this.#send({ type: "events", offset }),
  );
  readonly #timeline = new Questions<null, TimelinePage>(() => this.#send({ type: "timeline" }));
  #heardAt = now();
  /** Whether this page has received a message, and whether the host reports the comm as closed. */
  #heard = false;
  #gone = false;
  #cutOff: RunState | null = null;

  constructor(channel: Channel) {
    this.#channel = channel;
    const first = channel.snapshot();
    this.#transcript = new Transcript(isSnapshot(first) ? first : null);
    channel.listen(
      {
        message: (value) => this.#hear(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#ending.signal,
    );
    if (!this.#over) this.#resync();
  }

  /** The run to display: as received, or marked as interrupted if its kernel is gone. */
  get run(): RunState {
    if (!this.lost) return this.#transcript.run;
    this.#cutOff ??= cutOff(this.#transcript.run);
    return this.#cutOff;
  }

  /** Number of the last applied message. */
  get seq(): number {
    return this.#transcript.seq;
  }

  /** A copy of the run as received, to save. */
  get snapshot(): Snapshot {
    return this.#transcript.snapshot();
  }

  get final(): boolean {
    return isFinal(this.run.status);
  }

  get stopState(): StopState {
    return this.#stop;
  }

  /** State of the last decision; "none" again once the run reflects it. */
  get decideState(): ClickState {
    return this.#decision;
  }

  /** True after several requests without a response: the kernel is busy, gone or restarted. */
  get silent(): boolean {
    return !this.#over && this.#patience.over;
  }

  /**
   * True when the run is still active as far as known, but its kernel is gone: the host reports it, or
   * a reopened page never received a message. Any message from the kernel resets this.
   */
  get lost(): boolean {
    return !this.#over && (this.#gone || (this.silent && !this.#heard));
  }

  /** Seconds since the run was sent: the kernel's figure plus the time since it was received. */
  get elapsed(): number {
    if (this.final) return this.run.duration ?? this.run.elapsed;
    return this.run.elapsed + (now() - this.#heardAt) / 1000;
  }

  /** What the run waits for besides its agent, with the seconds left. */
  get waiting(): Waiting | null {
    const { waiting, elapsed } = this.run;
    if (waiting === null || this.final || this.silent) return null;
    return { ...waiting, seconds: Math.max(0, waiting.seconds - (this.elapsed - elapsed)) };
  }

  /** Whether the kernel has reported the end of the run. */
  get #over(): boolean {
    return isFinal(this.#transcript.run.status);
  }

  /** Call back after changes, at most once a frame; return a function that unsubscribes. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Request the kernel to stop the run. */
  stop(): void {
    if (this.final || this.#stop === "sent" || this.#stop === "seen") return;
    this.#stop = "sent";
    this.#send({ type: "stop" });
    clearTimeout(this.#ack);
    this.#ack = setTimeout(() => {
      if (this.#stop === "sent" && !this.final) this.#stop = "unanswered";
      this.#frame.request();
    }, ACK_MS);
    this.#frame.request();
  }

  /**
   * Approve or deny; the id is null where the platform assigned none. `key` identifies the displayed
   * approval, so that the kernel decides no other.
   */
  decide(approvalId: string | null, approved: boolean, key?: string): void {
    if (!this.run.can_decide || this.final) return;
    if (this.#decision === "sent" || this.#decision === "seen") return;
    this.#decision = "sent";
    const displayed = key === undefined ? {} : { key };
    this.#send({ type: "decide", approval_id: approvalId, ...displayed, approved });
    this.#decisionIn(ACK_MS, "unanswered");
    this.#frame.request();
  }

  /**
   * Request a page of the run's events starting at number `offset`.
   *
   * Rejects with a NoResponseError on timeout.
   */
  events(offset: number): Promise<EventsPage> {
    return this.#ask(this.#events, offset);
  }

  /** Request the run's timeline; rejects as `events` does. */
  timeline(): Promise<TimelinePage> {
    return this.#ask(this.#timeline, null);
  }

  dispose(): void {
    this.#events.dispose();
    this.#timeline.dispose();
    clearTimeout(this.#decisionTimer);
    this.#ending.abort();
    this.#frame.cancel();
    this.#patience.rest();
    clearTimeout(this.#ack);
    this.#listeners.clear();
  }

  #ask<K, V>(questions: Questions<K, V>, key: K): Promise<V> {
    if (this.#gone) return Promise.reject(new SilentKernelError("The kernel is gone."));
    return questions.ask(key);
  }

  #hear(value: unknown): void {
    if (!isKernelMessage(value)) {
      // Malformed or of another version: the missed changes are unknown.
      this.#gap(this.#transcript.broken);
      this.#transcript.gap();
      return;
    }
    this.#heard = true;
    this.#gone = false;
    if (value.type === "ack") {
      if (value.of === "decide") this.#decided();
      else if (this.#stop !== "none") this.#stop = "seen";
      this.#changed();
      return;
    }
    if (value.type === "events" || value.type === "timeline") {
      if (value.type === "events") this.#events.answer(value.offset, value);
      else this.#timeline.answer(null, value);
      this.#changed();
      return;
    }
    const { elapsed, status, approvals, notice } = this.#transcript.run;
    const wasBroken = this.#transcript.broken;
    const outcome = this.#transcript.apply(value);
    if (outcome === "gap") {
      this.#gap(wasBroken);
      return;
    }
    const { run } = this.#transcript;
    if (outcome === "applied" && (value.type === "snapshot" || run.elapsed !== elapsed)) {
      this.#heardAt = now();
    }
    if (run.status !== status || run.approvals !== approvals || run.notice !== notice) {
      this.#undecided();
    }
    this.#changed();
  }

  #decided(): void {
    if (this.#decision === "none") return;
    this.#decision = "seen";
    this.#decisionIn(EFFECT_MS, "none");
  }

  #undecided(): void {
    clearTimeout(this.#decisionTimer);
    this.#decision = "none";
  }

  #decisionIn(wait: number, next: ClickState): void {
    clearTimeout(this.#decisionTimer);
    this.#decisionTimer = setTimeout(() => {
      this.#decision = next;
      this.#frame.request();
    }, wait);
  }

  #lose(gone: boolean): void {
    if (gone === this.#gone) return;
    this.#gone = gone;
    this.#cutOff = null;
    // Messages may have been missed while the comm was closed.
    if (!gone && !this.#over) this.#resync();
    this.#frame.request();
  }

  #read(): void {
    const snapshot = this.#channel.snapshot();
    if (!isSnapshot(snapshot) || this.#transcript.replace(snapshot) !== "applied") return;
    this.#heardAt = now();
    this.#heard = true;
    this.#changed();
  }

  #changed(): void {
    this.#patience.heard();
    this.#cutOff = null;
    if (this.#over) {
      this.#patience.rest();
      clearTimeout(this.#ack);
      this.#undecided();
    } else {
      this.#quiet();
    }
    this.#frame.request();
  }

  #resync(): void {
    this.#patience.asked();
    const { seq } = this.#transcript;
    this.#send({ type: "resync", seq });
    this.#quiet();
  }

  /** Request a resync once per gap; if the response is lost too, the timer repeats the request. */
  #gap(again: boolean): void {
    if (!again && this.#patience.takeGap()) this.#resync();
    else this.#quiet();
  }

  /** Restart the timer for the next resync. */
  #quiet(): void {
    // A paused run sends nothing until a decision.
    this.#patience.wait(this.run.status === "paused" && !this.#patience.asking);
  }

  #send(message: PageMessage): void {
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

/** Return a copy of the run with everything unfinished marked as interrupted. */
function cutOff(run: RunState): RunState {
  const parts = run.parts.map((part) =>
    part.kind === "tool" && part.status === "running"
      ? { ...part, status: "abandoned" as const }
      : part,
  );
  return { ...run, parts, status: "interrupted", waiting: null };
}

function now(): number {
  return performance.now();
}
