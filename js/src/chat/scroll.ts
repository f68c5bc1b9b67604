// Follow the end of a conversation while the user is there.

/** Maximum distance from the end (px). */
const NEAR = 24;

export class Follower {
  readonly #box: HTMLElement;
  readonly #changed: (grew: boolean) => void;
  readonly #observer: ResizeObserver | undefined;
  readonly #onScroll = () => this.#scrolled();
  #top = 0;
  #following = true;

  /** `changed` is called when following starts or stops, and when the content or the box grows. */
  constructor(box: HTMLElement, content: HTMLElement, changed: (grew: boolean) => void) {
    this.#box = box;
    this.#changed = changed;
    box.addEventListener("scroll", this.#onScroll, { passive: true });
    if (typeof ResizeObserver === "function") {
      // Called after layout and before painting, so that the end never moves visibly.
      this.#observer = new ResizeObserver(() => this.#grown());
      this.#observer.observe(content);
      this.#observer.observe(box);
    }
  }

  get following(): boolean {
    return this.#following;
  }

  /** Scrolls to the end, and follows it from now on. */
  end(): void {
    const began = !this.#following;
    this.#following = true;
    this.#stick();
    if (began) this.#changed(false);
  }

  dispose(): void {
    this.#box.removeEventListener("scroll", this.#onScroll);
    this.#observer?.disconnect();
  }

  #grown(): void {
    if (this.#following) this.#stick();
    this.#changed(true);
  }

  #stick(): void {
    this.#box.scrollTop = this.#box.scrollHeight;
    this.#top = this.#box.scrollTop;
  }

  #scrolled(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#box;
    const atEnd = scrollHeight - scrollTop - clientHeight <= NEAR;
    // Only scrolling up stops it: at a scroll event the end may have moved on.
    const following = atEnd || (this.#following && scrollTop >= this.#top);
    this.#top = scrollTop;
    if (following === this.#following) return;
    this.#following = following;
    this.#changed(false);
  }
}
