// Keeping what a page shows in the host's model, to be saved with the notebook.

const SOON_MS = 500;

export class Keeper {
  /** True while it writes: the host tells of that as of any new state, and it is none. */
  writing = false;
  readonly #write: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(write: () => void) {
    this.#write = write;
  }

  now(): void {
    this.#rest();
    this.writing = true;
    try {
      this.#write();
    } catch {
      // A model whose widget was closed takes nothing any more.
    }
    this.writing = false;
  }

  /** Writes once there was nothing to write for a moment. */
  soon(): void {
    this.#rest();
    this.#timer = setTimeout(() => this.now(), SOON_MS);
  }

  /** Writes what is still to be written. */
  end(): void {
    if (this.#timer !== undefined) this.now();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
