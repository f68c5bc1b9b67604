// A Markdown passage that may still be growing.

import { Highlighter } from "../markdown/code/highlight.js";
import { MarkdownStream } from "../markdown/stream.js";
import { copyCode } from "./copy.js";
import { html } from "./html.js";

/** Inverse of the share of time that drawing one passage may take. */
const SHARE = 4;
/** Drawings shorter than this (ms) are not throttled. */
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

  /** Display this text, which is growing, resting (it may grow again) or final. */
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

  /** Cancel the delayed drawing. */
  #undo(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Draw now, or later if the last drawing took long, to keep the notebook responsive. */
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

/** Replace a placeholder by its image: the only fetch that model output can cause. */
function loadImage(event: Event): void {
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
