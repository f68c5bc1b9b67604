// Following the end of a conversation, for as long as its reader is there.

/** How far from the end (px) still counts as being there. */
const NEAR = 24;

export class Follower {
  readonly #box: HTMLElement;
  readonly #changed: (grew: boolean) => void;
  readonly #observer: ResizeObserver | undefined;
  readonly #onScroll = () => this.#scrolled();
  #top = 0;
  #following = true;

  /** `changed` is told when following began or ended, and when the content or the box has grown. */
  constructor(box: HTMLElement, content: HTMLElement, changed: (grew: boolean) => void) {
    this.#box = box;
    this.#changed = changed;
    box.addEventListener("scroll", this.#onScroll, { passive: true });
    if (typeof ResizeObserver === "function") {
      // Told after layout and before painting: the end is never seen to run away.
      this.#observer = new ResizeObserver(() => this.#grown());
      this.#observer.observe(content);
      this.#observer.observe(box);
    }
  }

  get following(): boolean {
    return this.#following;
  }

  /** Goes to the end, and follows it from now on. */
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
    // Only going up ends it: at a scroll event the end may have moved on already by itself.
    const following = atEnd || (this.#following && scrollTop >= this.#top);
    this.#top = scrollTop;
    if (following === this.#following) return;
    this.#following = following;
    this.#changed(false);
  }
}
