// A passage of Markdown that may still be growing.

import { Highlighter } from "../markdown/code/highlight.js";
import { MarkdownStream } from "../markdown/stream.js";
import { copyCode } from "./copy.js";
import { html } from "./html.js";

/** The share of the page's time that drawing one passage may take, as a divisor. */
const SHARE = 4;
/** Drawings shorter than this (ms) are never put off. */
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

  /** Shows this text, which grows, rests (and may yet grow on), or is final. */
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

  /** Forgets the drawing that was put off. */
  #undo(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  /** Draws now, or later where the last drawing took long: typing in the notebook goes first. */
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

/** Puts an image in place of its notice: the one moment when something is fetched. */
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
