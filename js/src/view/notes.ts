// What a run says beside its answer: hints, what it waits for, how it failed, what to ask next.

import { visibleText } from "../markdown/visible.js";
import type { RunState } from "../protocol.js";
import type { StopState } from "../session.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";
import { endNote } from "./status.js";

const BUSY =
  "The kernel is busy and has not seen the click yet. Interrupting the kernel (■ in the toolbar) stops this run.";
const SILENT = "No word from the kernel for a while: it may be busy, or it was restarted.";

/** One line above the answer: the kernel's own hint, or what the page noticed itself. */
export class HintView {
  readonly element = html("p", { class: "agentnb-hint", role: "status" });

  update(run: RunState, stop: StopState, silent: boolean): void {
    const text = stop === "unanswered" ? BUSY : silent ? SILENT : visibleText(run.notice ?? "");
    setText(this.element, text);
    show(this.element, text !== "");
  }
}

/** The failure's message and code, or a line that says why the answer isn't whole. */
export class EndView {
  readonly element = html("div", { class: "agentnb-end" });
  readonly #message = html("p", { class: "agentnb-error-message" });
  readonly #code = html("code", { class: "agentnb-error-code" });
  readonly #error = html(
    "div",
    { class: "agentnb-error", role: "group", "aria-label": "Error" },
    icon("failed"),
    html("div", {}, this.#message, this.#code),
  );
  readonly #note = html("p", { class: "agentnb-note" });

  constructor() {
    this.element.append(this.#note, this.#error);
  }

  update(run: RunState): void {
    const { error } = run;
    const note = endNote(run.status, run.parts.length > 0) ?? "";
    const failed = run.status === "failed" && error === null;
    setText(this.#note, note);
    show(this.#note, note !== "");
    setText(this.#message, failed ? "The run failed." : visibleText(error?.message ?? ""));
    setText(this.#code, visibleText(error?.code ?? ""));
    show(this.#code, Boolean(error?.code));
    show(this.#error, failed || error !== null);
    show(this.element, note !== "" || failed || error !== null);
  }
}

/** What a person is asked to decide, while the run waits for it. */
export class ApprovalsView {
  readonly element = html("ul", {
    class: "agentnb-approvals",
    "aria-label": "Waiting for approval",
  });
  #shown = "";

  update(run: RunState): void {
    const waiting = run.status === "paused" ? run.approvals : [];
    const key = JSON.stringify(waiting);
    show(this.element, waiting.length > 0);
    if (key === this.#shown) return;
    this.#shown = key;
    this.element.replaceChildren(
      ...waiting.map((approval) => {
        const item = html(
          "li",
          {},
          icon("paused"),
          visibleText(approval.message || "Approval needed"),
        );
        if (approval.tool) item.append(" ", html("code", {}, visibleText(approval.tool)));
        return item;
      }),
    );
  }
}

/** Questions to ask next, as a list. */
export class FollowupsView {
  readonly element = html("div", { class: "agentnb-followups" });
  readonly #list = html("ul");
  #shown = "";

  constructor() {
    this.element.append(html("div", { class: "agentnb-followups-title" }, "Ask next"), this.#list);
  }

  update(run: RunState): void {
    const key = JSON.stringify(run.followups);
    show(this.element, run.followups.length > 0);
    if (key === this.#shown) return;
    this.#shown = key;
    this.#list.replaceChildren(...run.followups.map((text) => html("li", {}, visibleText(text))));
  }
}
