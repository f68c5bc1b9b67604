// Timing of resync requests to the kernel.

/** Time for the kernel to acknowledge a command. */
export const ACK_MS = 1000;
const IDLE_MS = 4000;
const IDLE_MAX_MS = 60_000;
/** Token bucket for immediate requests after a gap: its size, and the time to refill one. */
const GAPS = 10;
const GAP_MS = 1000;
/** Unanswered requests before the kernel counts as silent. */
const SILENT_AFTER = 2;

/** Requests a resync after a period without messages, with exponential backoff. */
export class Patience {
  readonly #ask: () => void;
  #unanswered = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #gaps = GAPS;
  #gapAt = performance.now();

  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** True after several unanswered requests: the kernel is busy, gone or restarted. */
  get over(): boolean {
    return this.#unanswered > SILENT_AFTER;
  }

  /** Whether a request is unanswered. */
  get asking(): boolean {
    return this.#unanswered > 0;
  }

  /** Record that a request was sent. */
  asked(): void {
    this.#unanswered += 1;
  }

  heard(): void {
    this.#unanswered = 0;
  }

  /**
   * Return whether a gap may be followed by an immediate request. When gaps repeat after every
   * response, only the timer sends requests.
   */
  takeGap(): boolean {
    const at = performance.now();
    this.#gaps = Math.min(GAPS, this.#gaps + (at - this.#gapAt) / GAP_MS);
    this.#gapAt = at;
    if (this.#gaps < 1) return false;
    this.#gaps -= 1;
    return true;
  }

  /** Restart the timer, with the longest interval if no message is due. */
  wait(calm = false): void {
    this.rest();
    const doubled = IDLE_MS * 2 ** Math.max(0, this.#unanswered - 1);
    this.#timer = setTimeout(this.#ask, calm ? IDLE_MAX_MS : Math.min(doubled, IDLE_MAX_MS));
  }

  /** Stop the timer. */
  rest(): void {
    clearTimeout(this.#timer);
  }
}
