// A clock that runs only while it is visible.

const TICK_MS = 100;

/**
 * Calls back ten times a second while it is started, the tab is visible and the element on screen.
 */
export class Clock {
  readonly #tick: () => void;
  readonly #observer: IntersectionObserver | undefined;
  readonly #onVisibility = () => this.#arrange();
  #timer: ReturnType<typeof setInterval> | undefined;
  #wanted = false;
  #onScreen = true;

  constructor(element: Element, tick: () => void) {
    this.#tick = tick;
    document.addEventListener("visibilitychange", this.#onVisibility);
    if (typeof IntersectionObserver === "function") {
      this.#observer = new IntersectionObserver((entries) => {
        this.#onScreen = entries[entries.length - 1]?.isIntersecting ?? true;
        this.#arrange();
      });
      this.#observer.observe(element);
    }
  }

  want(wanted: boolean): void {
    this.#wanted = wanted;
    this.#arrange();
  }

  dispose(): void {
    this.want(false);
    this.#observer?.disconnect();
    document.removeEventListener("visibilitychange", this.#onVisibility);
  }

  #arrange(): void {
    const ticking = this.#wanted && this.#onScreen && document.visibilityState !== "hidden";
    if (ticking && this.#timer === undefined) {
      this.#timer = setInterval(this.#tick, TICK_MS);
      this.#tick();
    } else if (!ticking && this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }
}
