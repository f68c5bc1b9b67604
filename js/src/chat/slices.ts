// Render much in small slices, so that the page stays responsive.

/** Length of one slice (ms), well below a frame. */
const SLICE_MS = 6;

/** Runs a list of jobs from its end. */
export class Slices<T> {
  readonly #work: (item: T) => void;
  #items: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(work: (item: T) => void) {
    this.#work = work;
  }

  /** Replaces the remaining jobs. */
  replace(items: T[]): void {
    this.#items = items;
    this.#schedule();
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#items = [];
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#items.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#slice();
      this.#schedule();
    });
  }

  #slice(): void {
    const end = performance.now() + SLICE_MS;
    while (this.#items.length > 0 && performance.now() < end) {
      const item = this.#items.pop();
      if (item !== undefined) this.#work(item);
    }
  }
}
