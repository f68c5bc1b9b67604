// Render changes of one frame together.

/** Maximum delay in a hidden tab, where browsers call no animation frames. */
const HIDDEN_MS = 250;

/** Runs a function once at the next animation frame, however often it is requested. */
export class Frame {
  readonly #draw: () => void;
  #frame = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(draw: () => void) {
    this.#draw = draw;
  }

  request(): void {
    if (this.#timer !== undefined) return;
    const run = () => {
      this.cancel();
      this.#draw();
    };
    this.#timer = setTimeout(run, HIDDEN_MS);
    if (typeof requestAnimationFrame === "function") this.#frame = requestAnimationFrame(run);
  }

  cancel(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (typeof cancelAnimationFrame === "function") cancelAnimationFrame(this.#frame);
  }
}
