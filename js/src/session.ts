// One run in the page: the channel to the kernel, the transcript, and its recovery.

import { Frame } from "./frame.js";
import { ACK_MS, IdleTimer } from "./idle-timer.js";
import { PendingRequests, SilentKernelError } from "./pending-requests.js";
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
import { Transcript } from "./transcript.js";

/** The channel to the kernel, whatever host provides it. */
export interface Channel {
  /** The whole state as the host stores it; any value before the kernel has written it. */
  snapshot(): unknown;
  /** May throw or be lost silently if the kernel is gone. */
  send(message: PageMessage): void;
  /**
   * Calls back for messages and new snapshots, until the signal aborts.
   *
   * Some hosts also call `lost`: when the kernel is gone, and with false when it is back.
   */
  listen(
    on: { message(value: unknown): void; snapshot(): void; lost(gone?: boolean): void },
    signal: AbortSignal,
  ): void;
}

/** State of a click on Stop, or on a decision. */
export type ClickState = "none" | "sent" | "seen" | "unanswered";
export type StopState = ClickState;

/** Time after which a decision without effect may be made again. */
const EFFECT_MS = 10_000;

export class RunSession {
  readonly #channel: Channel;
  readonly #transcript: Transcript;
  readonly #listeners = new Set<() => void>();
  readonly #frame = new Frame(() => this.#notify());
  readonly #aborter = new AbortController();
  #ack: ReturnType<typeof setTimeout> | undefined;
  readonly #idle = new IdleTimer(() => {
    this.#resync();
    this.#frame.request();
  });
  #stop: ClickState = "none";
  #decision: ClickState = "none";
  #decisionTimer: ReturnType<typeof setTimeout> | undefined;
  readonly #events = new PendingRequests<number, EventsPage>((offset) =>
    this.#send({ type: "events", offset }),
  );
  readonly #timeline = new PendingRequests<null, TimelinePage>(() =>
    this.#send({ type: "timeline" }),
  );
  #updatedAt = now();
  /**
   * Whether this page has received a message, and whether the host reports that the kernel is gone.
   */
  #hasMessage = false;
  #gone = false;
  #cutOff: RunState | null = null;

  constructor(channel: Channel) {
    this.#channel = channel;
    const first = channel.snapshot();
    this.#transcript = new Transcript(isSnapshot(first) ? first : null);
    channel.listen(
      {
        message: (value) => this.#receive(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#aborter.signal,
    );
    if (!this.#over) this.#resync();
  }

  /** The run as the kernel sent it, or as interrupted if the kernel is gone. */
  get run(): RunState {
    if (!this.lost) return this.#transcript.run;
    this.#cutOff ??= cutOff(this.#transcript.run);
    return this.#cutOff;
  }

  /** Number of the last applied message. */
  get seq(): number {
    return this.#transcript.seq;
  }

  /** A copy of the run as the kernel sent it, to be stored. */
  get snapshot(): Snapshot {
    return this.#transcript.snapshot();
  }

  get final(): boolean {
    return isFinal(this.run.status);
  }

  get stopState(): StopState {
    return this.#stop;
  }

  /** State of the last decision; "none" again once it has an effect. */
  get decideState(): ClickState {
    return this.#decision;
  }

  /** Whether several messages were not answered: the kernel is busy, gone or restarted. */
  get silent(): boolean {
    return !this.#over && this.#idle.isSilent;
  }

  /**
   * Whether the kernel of an unfinished run is gone: the host reports it, or a reloaded page never
   * received a message. Any message resets this.
   */
  get lost(): boolean {
    return !this.#over && (this.#gone || (this.silent && !this.#hasMessage));
  }

  /** Seconds since the request: the kernel's figure, advanced by the page's clock. */
  get elapsed(): number {
    if (this.final) return this.run.duration ?? this.run.elapsed;
    return this.run.elapsed + (now() - this.#updatedAt) / 1000;
  }

  /** A pending reconnect or retry, with the seconds left. */
  get waiting(): Waiting | null {
    const { waiting, elapsed } = this.run;
    if (waiting === null || this.final || this.silent) return null;
    return { ...waiting, seconds: Math.max(0, waiting.seconds - (this.elapsed - elapsed)) };
  }

  /** Whether the kernel has sent the run's end. */
  get #over(): boolean {
    return isFinal(this.#transcript.run.status);
  }

  /** Calls back after changes, at most once a frame; returns how to unsubscribe. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Asks the kernel to stop the run. */
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
   * Decides an approval, which may have no id. `key` is that of the displayed approval: the kernel
   * decides no other. `payload` is the answer to an approval that takes one, as JSON.
   */
  decide(approvalId: string | null, approved: boolean, key?: string, payload?: string): void {
    if (!this.run.can_decide || this.final) return;
    if (this.#decision === "sent" || this.#decision === "seen") return;
    this.#decision = "sent";
    const displayed = key === undefined ? {} : { key };
    const answer = payload === undefined ? {} : { payload };
    this.#send({ type: "decide", approval_id: approvalId, ...displayed, approved, ...answer });
    this.#decisionIn(ACK_MS, "unanswered");
    this.#frame.request();
  }

  /**
   * Requests events of the run from number `offset` on.
   *
   * Rejects with a SilentKernelError if there is no answer in time.
   */
  events(offset: number): Promise<EventsPage> {
    return this.#request(this.#events, offset);
  }

  /** Requests the timeline; rejects as `events` does. */
  timeline(): Promise<TimelinePage> {
    return this.#request(this.#timeline, null);
  }

  dispose(): void {
    this.#events.dispose();
    this.#timeline.dispose();
    clearTimeout(this.#decisionTimer);
    this.#aborter.abort();
    this.#frame.cancel();
    this.#idle.stop();
    clearTimeout(this.#ack);
    this.#listeners.clear();
  }

  #request<K, V>(requests: PendingRequests<K, V>, key: K): Promise<V> {
    if (this.#gone) return Promise.reject(new SilentKernelError("The kernel is gone."));
    return requests.request(key);
  }

  #receive(value: unknown): void {
    if (!isKernelMessage(value)) {
      // Of another version, or mangled: its changes are unknown.
      this.#gap(this.#transcript.broken);
      this.#transcript.gap();
      return;
    }
    this.#hasMessage = true;
    this.#gone = false;
    if (value.type === "ack") {
      if (value.of === "decide") this.#decisionSeen();
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
      this.#updatedAt = now();
    }
    if (run.status !== status || run.approvals !== approvals || run.notice !== notice) {
      this.#resetDecision();
    }
    this.#changed();
  }

  #decisionSeen(): void {
    if (this.#decision === "none") return;
    this.#decision = "seen";
    this.#decisionIn(EFFECT_MS, "none");
  }

  #resetDecision(): void {
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
    // Messages in the meantime are lost.
    if (!gone && !this.#over) this.#resync();
    this.#frame.request();
  }

  #read(): void {
    const snapshot = this.#channel.snapshot();
    if (!isSnapshot(snapshot) || this.#transcript.replace(snapshot) !== "applied") return;
    this.#updatedAt = now();
    this.#hasMessage = true;
    this.#changed();
  }

  #changed(): void {
    this.#idle.answered();
    this.#cutOff = null;
    if (this.#over) {
      this.#idle.stop();
      clearTimeout(this.#ack);
      this.#resetDecision();
    } else {
      this.#restartTimer();
    }
    this.#frame.request();
  }

  #resync(): void {
    this.#idle.sent();
    const { seq } = this.#transcript;
    this.#send({ type: "resync", seq });
    this.#restartTimer();
  }

  /** Once per gap; if the answer is lost too, the idle timer asks again. */
  #gap(again: boolean): void {
    if (!again && this.#idle.takeResync()) this.#resync();
    else this.#restartTimer();
  }

  /** Restarts the idle timer. */
  #restartTimer(): void {
    // A paused run sends nothing before a decision.
    this.#idle.restart(this.run.status === "paused" && !this.#idle.isWaiting);
  }

  #send(message: PageMessage): void {
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

/** The run as interrupted: nothing in it is in progress. */
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
