// Saves the page's state in the host's model, which is saved with the notebook.

const SOON_MS = 500;

export class Keeper {
  /** True during a write: the host reports the write like new state from the kernel. */
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
      // The model's widget was closed.
    }
    this.writing = false;
  }

  /** Save after a pause without further calls. */
  soon(): void {
    this.#rest();
    this.#timer = setTimeout(() => this.now(), SOON_MS);
  }

  /** Save now if a save is scheduled. */
  end(): void {
    if (this.#timer !== undefined) this.now();
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
