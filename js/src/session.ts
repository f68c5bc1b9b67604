// One run as the page follows it: the channel to the kernel, the fold, and what heals it.

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

/** The way to the kernel, whatever host provides it. */
export interface Channel {
  /** The whole state as the host keeps it; anything at all before the kernel has written it. */
  snapshot(): unknown;
  /** May throw or be lost without a word: the kernel can be gone. */
  send(message: PageMessage): void;
  /**
   * Calls back for every message and every new snapshot, until the signal aborts.
   *
   * A host that can tell calls `lost` too: when the kernel's end is gone, and with false when it is
   * there again.
   */
  listen(
    on: { message(value: unknown): void; snapshot(): void; lost(gone?: boolean): void },
    signal: AbortSignal,
  ): void;
}

/** Where a click has got to: on Stop, or on a decision. */
export type ClickState = "none" | "sent" | "seen" | "unanswered";
export type StopState = ClickState;

/** How long a decision that was seen may take to show in the run before it can be made again. */
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
  /** Whether this page has had a word from the kernel, and whether the host says that it is gone. */
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

  /** The run to be shown: as the kernel told it, but for one that was cut off from its kernel. */
  get run(): RunState {
    if (!this.lost) return this.#transcript.run;
    this.#cutOff ??= cutOff(this.#transcript.run);
    return this.#cutOff;
  }

  /** The number of the last message that was applied. */
  get seq(): number {
    return this.#transcript.seq;
  }

  /** A copy of the run as the kernel told it, to be kept. */
  get snapshot(): Snapshot {
    return this.#transcript.snapshot();
  }

  get final(): boolean {
    return isFinal(this.run.status);
  }

  get stopState(): StopState {
    return this.#stop;
  }

  /** Where the last decision has got to. "none" again once it shows in the run. */
  get decideState(): ClickState {
    return this.#decision;
  }

  /** True when the kernel left several questions unanswered: it is busy, gone or begun anew. */
  get silent(): boolean {
    return !this.#over && this.#patience.over;
  }

  /**
   * True when a run goes on for all that is known here, but the kernel that followed it is gone: the
   * host says so, or a page that was opened anew never heard of it. Any word from it undoes this.
   */
  get lost(): boolean {
    return !this.#over && (this.#gone || (this.silent && !this.#heard));
  }

  /** Seconds since the run was sent: the kernel's figure, carried on by the page's own clock. */
  get elapsed(): number {
    if (this.final) return this.run.duration ?? this.run.elapsed;
    return this.run.elapsed + (now() - this.#heardAt) / 1000;
  }

  /** What the run waits for beyond its agent, with the seconds that are left by now. */
  get waiting(): Waiting | null {
    const { waiting, elapsed } = this.run;
    if (waiting === null || this.final || this.silent) return null;
    return { ...waiting, seconds: Math.max(0, waiting.seconds - (this.elapsed - elapsed)) };
  }

  /** Whether the kernel has told the run's end. */
  get #over(): boolean {
    return isFinal(this.#transcript.run.status);
  }

  /** Calls back, at most once a frame, after something changed; returns the way to end that. */
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
   * Answers what the run waits for; null where the platform gave the question no id. `key` is that
   * of the approval that is displayed: the kernel decides no other.
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
   * Asks for some of the run's events, from the one numbered `offset` on.
   *
   * Rejects with a SilentKernelError where no answer comes in time.
   */
  events(offset: number): Promise<EventsPage> {
    return this.#ask(this.#events, offset);
  }

  /** Asks what the run did when; rejects as `events` does. */
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
      // Not of this version, or mangled: what it would have changed is unknown.
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
    // What was said while the way was cut is not known.
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

  /** Asks once per gap; should the answer be lost too, the idle timer asks again. */
  #gap(again: boolean): void {
    if (!again && this.#patience.takeGap()) this.#resync();
    else this.#quiet();
  }

  /** Starts the wait for the next word anew. */
  #quiet(): void {
    // A paused run is not expected to say anything before somebody decides.
    this.#patience.wait(this.run.status === "paused" && !this.#patience.asking);
  }

  #send(message: PageMessage): void {
    try {
      this.#channel.send(message);
    } catch {
      // A closed comm throws in some hosts; the timers go on and the view says what is the matter.
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The same run as its reader may take it: nothing in it goes on. */
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
