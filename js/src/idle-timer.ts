// Ask the kernel for its state when it has been idle.

/** Time for the kernel to acknowledge a message. */
export const ACK_MS = 1000;
const IDLE_MS = 4000;
const IDLE_MAX_MS = 60_000;
/** Immediate resyncs allowed at once, and the time until one more is allowed. */
const MAX_RESYNCS = 10;
const RESYNC_MS = 1000;
/** Unanswered messages before the kernel counts as silent. */
const SILENT_AFTER = 2;

/** Calls back when no message was received for a while, with exponential backoff. */
export class IdleTimer {
  readonly #callback: () => void;
  #unanswered = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #resyncs = MAX_RESYNCS;
  #resyncAt = performance.now();

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  /** Whether several messages were not answered: the kernel is busy, gone or restarted. */
  get isSilent(): boolean {
    return this.#unanswered > SILENT_AFTER;
  }

  /** Whether a message is unanswered. */
  get isWaiting(): boolean {
    return this.#unanswered > 0;
  }

  /** Records a message that expects an answer. */
  sent(): void {
    this.#unanswered += 1;
  }

  answered(): void {
    this.#unanswered = 0;
  }

  /**
   * Returns whether to resync at once after a gap. If there are too many, only the timer does.
   */
  takeResync(): boolean {
    const at = performance.now();
    this.#resyncs = Math.min(MAX_RESYNCS, this.#resyncs + (at - this.#resyncAt) / RESYNC_MS);
    this.#resyncAt = at;
    if (this.#resyncs < 1) return false;
    this.#resyncs -= 1;
    return true;
  }

  /** Restarts the timer, with the longest interval if nothing is expected. */
  restart(calm = false): void {
    this.stop();
    const doubled = IDLE_MS * 2 ** Math.max(0, this.#unanswered - 1);
    this.#timer = setTimeout(this.#callback, calm ? IDLE_MAX_MS : Math.min(doubled, IDLE_MAX_MS));
  }

  /** Stops the timer. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
