// One run as the page follows it: the channel to the kernel, the fold, and what heals it.

import { Frame } from "./frame.js";
import {
  isFinal,
  isKernelMessage,
  isSnapshot,
  type PageMessage,
  type RunState,
} from "./protocol.js";
import { Transcript } from "./transcript.js";

/** The way to the kernel, whatever host provides it. */
export interface Channel {
  /** The whole state as the host keeps it; anything at all before the kernel has written it. */
  snapshot(): unknown;
  /** May throw or be lost without a word: the kernel can be gone. */
  send(message: PageMessage): void;
  /** Calls back for every message and every new snapshot, until the signal aborts. */
  listen(on: { message(value: unknown): void; snapshot(): void }, signal: AbortSignal): void;
}

/** Where a click on Stop has got to. */
export type StopState = "none" | "sent" | "seen" | "unanswered";

const IDLE_MS = 4000;
const IDLE_MAX_MS = 60_000;
const ACK_MS = 1000;
/** Unanswered questions before the view says that the kernel is silent. */
const SILENT_AFTER = 2;

export class RunSession {
  readonly #channel: Channel;
  readonly #transcript: Transcript;
  readonly #listeners = new Set<() => void>();
  readonly #frame = new Frame(() => this.#notify());
  readonly #ending = new AbortController();
  #idle: ReturnType<typeof setTimeout> | undefined;
  #ack: ReturnType<typeof setTimeout> | undefined;
  #unanswered = 0;
  #stop: StopState = "none";
  #heardAt = now();

  constructor(channel: Channel) {
    this.#channel = channel;
    const first = channel.snapshot();
    this.#transcript = new Transcript(isSnapshot(first) ? first : null);
    channel.listen(
      { message: (value) => this.#hear(value), snapshot: () => this.#read() },
      this.#ending.signal,
    );
    if (!this.final) this.#resync();
  }

  get run(): RunState {
    return this.#transcript.run;
  }

  get final(): boolean {
    return isFinal(this.run.status);
  }

  get stopState(): StopState {
    return this.#stop;
  }

  /** True when the kernel left several questions unanswered: it is busy, gone or begun anew. */
  get silent(): boolean {
    return !this.final && this.#unanswered > SILENT_AFTER;
  }

  /** Seconds since the run was sent: the kernel's figure, carried on by the page's own clock. */
  get elapsed(): number {
    if (this.final) return this.run.duration ?? this.run.elapsed;
    return this.run.elapsed + (now() - this.#heardAt) / 1000;
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

  dispose(): void {
    this.#ending.abort();
    this.#frame.cancel();
    clearTimeout(this.#idle);
    clearTimeout(this.#ack);
    this.#listeners.clear();
  }

  #hear(value: unknown): void {
    if (!isKernelMessage(value)) {
      // Not of this version, or mangled: what it would have changed is unknown.
      this.#transcript.gap();
      this.#resync();
      return;
    }
    if (value.type === "ack") {
      if (this.#stop !== "none") this.#stop = "seen";
      this.#changed();
      return;
    }
    const elapsed = this.run.elapsed;
    const wasBroken = this.#transcript.broken;
    const outcome = this.#transcript.apply(value);
    if (outcome === "gap") {
      // Ask once per gap; should the answer be lost too, the idle timer asks again.
      if (wasBroken) this.#quiet();
      else this.#resync();
      return;
    }
    if (outcome === "applied" && (value.type === "snapshot" || this.run.elapsed !== elapsed)) {
      this.#heardAt = now();
    }
    this.#changed();
  }

  #read(): void {
    const snapshot = this.#channel.snapshot();
    if (!isSnapshot(snapshot) || this.#transcript.replace(snapshot) !== "applied") return;
    this.#heardAt = now();
    this.#changed();
  }

  #changed(): void {
    this.#unanswered = 0;
    if (this.final) {
      clearTimeout(this.#idle);
      clearTimeout(this.#ack);
    } else {
      this.#quiet();
    }
    this.#frame.request();
  }

  #resync(): void {
    this.#unanswered += 1;
    const { seq } = this.#transcript;
    this.#send({ type: "resync", seq });
    this.#quiet();
  }

  /** Starts the wait for the next word anew. A kernel that doesn't answer is asked ever less often. */
  #quiet(): void {
    clearTimeout(this.#idle);
    const wait = Math.min(IDLE_MS * 2 ** Math.max(0, this.#unanswered - 1), IDLE_MAX_MS);
    this.#idle = setTimeout(() => {
      this.#resync();
      this.#frame.request();
    }, wait);
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

function now(): number {
  return performance.now();
}
