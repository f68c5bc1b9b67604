// The list of earlier sessions, which opens under its button.

import { visibleText } from "../markdown/visible.js";
import { html, setText, show } from "../view/html.js";
import { button } from "./dom.js";
import type { EarlierSession } from "./protocol.js";

export interface SessionsSource {
  sessions(): Promise<EarlierSession[] | null>;
  open(key: string): void;
}

export class SessionsMenu {
  readonly button: HTMLButtonElement;
  readonly panel: HTMLElement;
  readonly #source: SessionsSource;
  readonly #opened: () => void;
  readonly #list = html("ul", { "aria-label": "Earlier sessions" });
  readonly #word = html("p", { class: "agentnb-chat-soft", role: "status" });
  #requests = 0;

  /** `opened` is told when an earlier session was chosen. */
  constructor(source: SessionsSource, opened: () => void) {
    this.#source = source;
    this.#opened = opened;
    this.button = button("queued", "Earlier sessions", () => this.#toggle(), { words: "Sessions" });
    this.button.setAttribute("aria-expanded", "false");
    this.panel = html("div", { class: "agentnb-chat-sessions" }, this.#word, this.#list);
    this.panel.hidden = true;
    for (const element of [this.panel, this.button]) {
      element.addEventListener("keydown", (event) => this.#key(event));
      element.addEventListener("focusout", ({ relatedTarget }) => {
        // Without a target the page only lost the focus, or it went to what can't have it.
        const to = relatedTarget instanceof Node ? relatedTarget : null;
        if (to && !this.panel.contains(to) && !this.button.contains(to)) this.close();
      });
    }
  }

  close(andFocus = false): void {
    if (this.panel.hidden) return;
    this.#requests += 1;
    show(this.panel, false);
    this.button.setAttribute("aria-expanded", "false");
    if (andFocus) this.button.focus({ preventScroll: true });
  }

  #toggle(): void {
    if (this.panel.hidden) void this.#open();
    else this.close(true);
  }

  async #open(): Promise<void> {
    this.#requests += 1;
    const request = this.#requests;
    this.#list.replaceChildren();
    show(this.#word, true);
    setText(this.#word, "Looking for earlier sessions…");
    show(this.panel, true);
    this.button.setAttribute("aria-expanded", "true");
    const found = await this.#source.sessions();
    if (request !== this.#requests) return;
    const word = found === null ? "They can't be listed now." : "There are none yet.";
    show(this.#word, !found?.length);
    setText(this.#word, word);
    this.#list.replaceChildren(...(found ?? []).map((session) => this.#item(session)));
    const items = this.#items();
    (items.find((item) => item.getAttribute("aria-current")) ?? items[0])?.focus({
      preventScroll: true,
    });
  }

  #item(session: EarlierSession): HTMLLIElement {
    const questions = `${session.turns} ${session.turns === 1 ? "question" : "questions"}`;
    const made = html(
      "button",
      { type: "button", "aria-current": session.current ? "true" : false },
      html(
        "span",
        { class: "agentnb-chat-session-title" },
        visibleText(session.title) || "Untitled",
      ),
      html(
        "span",
        { class: "agentnb-chat-soft" },
        [moment(session.updated), questions, session.current ? "open now" : ""]
          .filter((part) => part !== "")
          .join(" · "),
      ),
    );
    made.addEventListener("click", () => {
      this.close();
      if (!session.current) this.#source.open(session.key);
      this.#opened();
    });
    return html("li", {}, made);
  }

  #items(): HTMLButtonElement[] {
    return [...this.#list.querySelectorAll("button")];
  }

  #key(event: KeyboardEvent): void {
    if (this.panel.hidden) return;
    if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      this.close(true);
      return;
    }
    const items = this.#items();
    const at = items.indexOf(event.target as HTMLButtonElement);
    const to = {
      ArrowDown: Math.min(at + 1, items.length - 1),
      ArrowUp: Math.max(at - 1, 0),
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    items[to]?.focus();
  }
}

/** When that was, as people here write it; nothing where it isn't a time. */
function moment(iso: string): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return "";
  return time.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}
