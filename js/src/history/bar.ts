// Filters of the history: text, status, agent.

import { visibleText } from "../markdown/visible.js";
import { html } from "../view/html.js";
import { icon } from "../view/icons.js";
import { STATUS_WORDS } from "../view/status.js";
import type { HistorySession } from "./session.js";

export class BarView {
  readonly element: HTMLElement;
  readonly #session: HistorySession;
  readonly #text = html("input", {
    type: "search",
    class: "agentnb-field",
    placeholder: "Search questions and answers",
    "aria-label": "Search questions and answers",
    autocomplete: "off",
    spellcheck: "false",
    dir: "auto",
  });
  readonly #status = html("select", { class: "agentnb-field", "aria-label": "Status" });
  readonly #agent = html("select", { class: "agentnb-field", "aria-label": "Agent" });
  readonly #refresh = html(
    "button",
    {
      type: "button",
      class: "agentnb-button agentnb-icon-button",
      title: "Look again",
      "aria-label": "Look again",
    },
    icon("again"),
  );
  #choices = "";

  constructor(session: HistorySession) {
    this.#session = session;
    this.#status.append(
      option("", "Every status"),
      ...Object.entries(STATUS_WORDS).map(([value, word]) => option(value, word)),
    );
    this.#text.addEventListener("input", () => session.search(this.#text.value));
    this.#status.addEventListener("change", () => session.ask({ status: this.#status.value }));
    this.#agent.addEventListener("change", () => session.ask({ agent: this.#agent.value }));
    this.#agent.addEventListener("focus", () => session.askAgents());
    this.#agent.addEventListener("pointerenter", () => session.askAgents());
    this.#refresh.addEventListener("click", () => session.refresh());
    this.element = html(
      "div",
      { class: "agentnb-history-bar", role: "search" },
      this.#text,
      this.#status,
      this.#agent,
      this.#refresh,
    );
  }

  /** Moves the focus away from an element that is removed. */
  focus(): void {
    this.#text.focus({ preventScroll: true });
  }

  update(): void {
    const { query, gone } = this.#session;
    // The field keeps its text, since the user may be typing.
    if (this.#text.value !== query.text) this.#text.value = query.text;
    this.#status.value = query.status;
    this.#updateAgents();
    for (const field of [this.#text, this.#status, this.#agent, this.#refresh]) {
      if (field.disabled !== gone) field.disabled = gone;
    }
  }

  #updateAgents(): void {
    const { agents, listing, query } = this.#session;
    const shown = listing.rows.map(({ platform, agent }) => `${platform}:${agent}`);
    const names = [...new Set([...agents, ...shown, query.agent])].filter((name) => name).sort();
    const choices = JSON.stringify(names);
    if (choices !== this.#choices) {
      this.#choices = choices;
      const made = names.map((name) => option(name, visibleText(name)));
      this.#agent.replaceChildren(option("", "Every agent"), ...made);
    }
    this.#agent.value = query.agent;
  }
}

function option(value: string, text: string): HTMLOptionElement {
  return html("option", { value }, text);
}
