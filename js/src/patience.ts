// How long a word of the kernel is waited for before it is asked.

/** How long the kernel may take to acknowledge what was asked of it. */
export const ACK_MS = 1000;
const IDLE_MS = 4000;
const IDLE_MAX_MS = 60_000;
/** Gaps that may be asked about at once, and how long until there may be one more. */
const GAPS = 10;
const GAP_MS = 1000;
/** Unanswered questions before the kernel is said to be silent. */
const SILENT_AFTER = 2;

/** Asks whenever nothing was heard for a while; a kernel that doesn't answer ever less often. */
export class Patience {
  readonly #ask: () => void;
  #unanswered = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #gaps = GAPS;
  #gapAt = performance.now();

  constructor(ask: () => void) {
    this.#ask = ask;
  }

  /** True when several questions stayed unanswered: the kernel is busy, gone or begun anew. */
  get over(): boolean {
    return this.#unanswered > SILENT_AFTER;
  }

  /** Whether a question is unanswered. */
  get asking(): boolean {
    return this.#unanswered > 0;
  }

  /** Takes note of a question that was asked. */
  asked(): void {
    this.#unanswered += 1;
  }

  heard(): void {
    this.#unanswered = 0;
  }

  /**
   * Tells whether to ask at once about something that was missed or not understood. Where that
   * happens again and again, after every answer, only the timer asks.
   */
  takeGap(): boolean {
    const at = performance.now();
    this.#gaps = Math.min(GAPS, this.#gaps + (at - this.#gapAt) / GAP_MS);
    this.#gapAt = at;
    if (this.#gaps < 1) return false;
    this.#gaps -= 1;
    return true;
  }

  /** Waits anew, for long where nothing is due. */
  wait(calm = false): void {
    this.rest();
    const doubled = IDLE_MS * 2 ** Math.max(0, this.#unanswered - 1);
    this.#timer = setTimeout(this.#ask, calm ? IDLE_MAX_MS : Math.min(doubled, IDLE_MAX_MS));
  }

  /** Waits for nothing. */
  rest(): void {
    clearTimeout(this.#timer);
  }
}
