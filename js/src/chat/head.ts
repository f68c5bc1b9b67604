// The header of a chat: agent, session, and buttons for other sessions.

import { visibleText } from "../markdown/visible.js";
import { copyText } from "../view/copy.js";
import { html, setText, show } from "../view/html.js";
import { button, rename } from "./dom.js";
import type { ChatSession } from "./session.js";
import { SessionsMenu } from "./sessions.js";

/** Displayed characters of a session's id. */
const SHORT = 8;

export class ChatHead {
  readonly element: HTMLElement;
  readonly menu: SessionsMenu;
  readonly #session: ChatSession;
  readonly #title = html("span", { class: "agentnb-title" });
  readonly #platform = html("span", { class: "agentnb-platform" });
  readonly #id: HTMLButtonElement;
  readonly #idLabel = html("span");
  readonly #fresh: HTMLButtonElement;

  /** `moved` is called after another session was requested. */
  constructor(session: ChatSession, moved: () => void) {
    this.#session = session;
    this.menu = new SessionsMenu(session, moved);
    this.#id = html("button", { type: "button", class: "agentnb-chat-id" }, this.#idLabel);
    this.#id.addEventListener("click", () => void this.#copyId());
    this.#fresh = button(
      "plus",
      "New session",
      () => {
        session.fresh();
        moved();
      },
      { words: "New" },
    );
    this.element = html(
      "div",
      { class: "agentnb-header agentnb-chat-head" },
      html("span", { class: "agentnb-names" }, this.#title, this.#platform, this.#id),
      html("div", { class: "agentnb-chat-ways" }, this.menu.button, this.#fresh),
    );
  }

  update(): void {
    const { chat, lost } = this.#session;
    const id = visibleText(chat.session_id ?? "");
    setText(this.#title, visibleText(chat.title || chat.agent || "Chat"));
    setText(this.#platform, visibleText(chat.platform));
    show(this.#platform, chat.platform !== "");
    show(this.#id, id !== "");
    setText(this.#idLabel, id.length > SHORT + 2 ? `${id.slice(0, SHORT)}…` : id);
    rename(this.#id, `Copy the session's id ${id}`);
    show(this.#fresh, !lost);
    show(this.menu.button, !lost);
    if (lost) this.menu.close();
  }

  async #copyId(): Promise<void> {
    const done = await copyText(this.#session.chat.session_id ?? "", this.#id);
    this.#session.announce(done ? "Session id copied." : "The browser does not let it be copied.");
  }
}
