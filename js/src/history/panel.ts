// The open run, below the list.

import { visibleText } from "../markdown/visible.js";
import { html, setText, show } from "../view/html.js";
import { icon } from "../view/icons.js";
import { RunView } from "../view/run.js";
import type { Opened } from "./session.js";

const LOADING_MS = 200;

export class PanelView {
  readonly element: HTMLElement;
  readonly #word = html("p", { class: "agentnb-history-word", role: "status" });
  readonly #prompt = html("p", { class: "agentnb-history-prompt", dir: "auto" });
  readonly #close = html(
    "button",
    { type: "button", class: "agentnb-button" },
    icon("close"),
    "Close",
  );
  #opened: Opened | null = null;
  #view: RunView | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(id: string, close: () => void) {
    this.#close.addEventListener("click", close);
    this.element = html(
      "section",
      { class: "agentnb-history-panel", id, "aria-label": "Opened run", hidden: true },
      html(
        "div",
        { class: "agentnb-history-panel-head" },
        html("span", { class: "agentnb-soft" }, "Opened run"),
        this.#close,
      ),
      this.#prompt,
      this.#word,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      close();
    });
  }

  /** Moves the focus to the run. */
  focus(): void {
    this.#close.focus({ preventScroll: true });
    this.element.scrollIntoView?.({ block: "nearest" });
  }

  update(opened: Opened | null): void {
    if (opened === this.#opened) return;
    const before = this.#opened;
    this.#opened = opened;
    if (!opened || opened.session !== before?.session) this.#leave();
    show(this.element, opened !== null);
    clearTimeout(this.#timer);
    const prompt = visibleText(opened?.session?.run.prompt.trim() ?? "");
    setText(this.#prompt, prompt);
    show(this.#prompt, prompt !== "");
    setText(this.#word, visibleText(opened?.error ?? ""));
    show(this.#word, Boolean(opened?.error));
    if (!opened || opened.error !== null) return;
    if (opened.session) {
      // Only a run of this kernel that has not ended can be stopped.
      this.#view ??= new RunView(opened.session, { quiet: !opened.live });
      this.element.append(this.#view.element);
      this.element.scrollIntoView?.({ block: "nearest" });
      return;
    }
    this.#timer = setTimeout(() => {
      setText(this.#word, "Opening…");
      show(this.#word, true);
    }, LOADING_MS);
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#leave();
  }

  #leave(): void {
    this.#view?.dispose();
    this.#view = null;
  }
}
