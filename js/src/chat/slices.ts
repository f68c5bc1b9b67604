// Drawing much in small pieces, so that the page never stands still.

/** How long one piece of work may take (ms): well under a frame. */
const SLICE_MS = 6;

/** Does a list of jobs from its end. */
export class Slices<T> {
  readonly #work: (item: T) => void;
  #items: T[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(work: (item: T) => void) {
    this.#work = work;
  }

  /** Takes this list in place of what is left of the last one. */
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
