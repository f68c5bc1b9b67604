// Store the state of a page in the host's model, to be saved with the notebook.

const SOON_MS = 500;

export class SnapshotWriter {
  /** True while writing, since the host reports the change as a new snapshot. */
  writing = false;
  readonly #callback: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(callback: () => void) {
    this.#callback = callback;
  }

  write(): void {
    this.#clearTimer();
    this.writing = true;
    try {
      this.#callback();
    } catch {
      // The model of a closed widget accepts no changes.
    }
    this.writing = false;
  }

  /** Writes after a short delay, once for several calls. */
  writeSoon(): void {
    this.#clearTimer();
    this.#timer = setTimeout(() => this.write(), SOON_MS);
  }

  /** Writes now if a write is pending. */
  flush(): void {
    if (this.#timer !== undefined) this.write();
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
