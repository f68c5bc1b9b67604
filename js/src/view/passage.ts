// A passage of Markdown that may still grow.

import { Highlighter } from "../markdown/code/highlight.js";
import { MarkdownStream } from "../markdown/stream.js";
import { copyCode } from "./copy.js";
import { html } from "./html.js";

/** Share of the page's time for rendering one passage, as a divisor. */
const SHARE = 4;
/** Renderings shorter than this (ms) are never delayed. */
const CHEAP_MS = 4;

export class MarkdownPassage {
  readonly element: HTMLElement;
  readonly #highlighter = new Highlighter();
  #stream: MarkdownStream;
  #seen = "";
  #resting = false;
  #final = false;
  #nextDraw = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(className: string) {
    this.element = html("div", { class: `agentnb-md ${className}` });
    this.#stream = this.#begin();
    this.element.addEventListener("click", loadImage);
    this.element.addEventListener("click", copyCode);
  }

  /** Displays this text, which grows, pauses, or is final. */
  update(text: string, state: "growing" | "resting" | "final"): void {
    if (!text.startsWith(this.#seen) || (this.#final && text !== this.#seen)) {
      this.element.replaceChildren();
      this.#stream = this.#begin();
      this.#seen = "";
      this.#final = false;
    }
    this.#stream.append(text.slice(this.#seen.length));
    this.#seen = text;
    if (state === "final") {
      this.#undo();
      this.#final = true;
      this.#stream.finish();
    } else {
      this.#resting = state === "resting";
      this.#draw();
    }
  }

  dispose(): void {
    this.#undo();
    this.#highlighter.dispose();
  }

  #begin(): MarkdownStream {
    return new MarkdownStream(this.element, (block) => this.#highlighter.add(block));
  }

  /** Cancels a delayed rendering. */
  #undo(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Renders now, or later if the last rendering was slow, so that typing stays responsive. */
  #draw(): void {
    if (this.#timer !== undefined) return;
    const start = performance.now();
    if (start < this.#nextDraw) {
      this.#timer = setTimeout(() => {
        this.#timer = undefined;
        this.#draw();
      }, this.#nextDraw - start);
      return;
    }
    this.#stream.draw(this.#resting);
    const end = performance.now();
    const took = end - start;
    this.#nextDraw = took > CHEAP_MS ? end + took * SHARE : 0;
  }
}

/** Replaces the note by the image, the only moment when something is loaded. */
export function loadImage(event: Event): void {
  const target = event.target instanceof Element ? event.target : null;
  const notice = target?.closest<HTMLButtonElement>("button.agentnb-image");
  const address = notice?.dataset.src;
  if (!notice || !address) return;
  const alt = notice.querySelector(".agentnb-image-alt")?.textContent ?? "";
  const image = html("img", {
    alt,
    title: notice.title,
    referrerpolicy: "no-referrer",
    decoding: "async",
  });
  image.src = address;
  notice.replaceChildren(image);
  notice.classList.add("agentnb-image-loaded");
  notice.disabled = true;
  notice.removeAttribute("aria-label");
}
