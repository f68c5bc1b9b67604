// Pending approvals, with buttons for the decision.

import { visibleText } from "../markdown/visible.js";
import type { Approval, RunState } from "../protocol.js";
import type { ClickState } from "../session.js";
import { BoundedText } from "./bounded.js";
import { html, show } from "./html.js";
import { icon } from "./icons.js";
import { indentJson } from "./json.js";

type Decide = (approvalId: string | null, approved: boolean, key?: string) => void;

/** Time after a change during which a click may have been meant for the previous approval. */
const SETTLE_MS = 500;

interface Item {
  element: HTMLElement;
  buttons: HTMLButtonElement[];
}

export class ApprovalsView {
  readonly element = html("ul", {
    class: "agentnb-approvals",
    "aria-label": "Waiting for approval",
  });
  readonly #decide: Decide;
  #items = new Map<string, Item>();
  #settling: ReturnType<typeof setTimeout> | undefined;
  #waiting = false;

  constructor(decide: Decide) {
    this.#decide = decide;
  }

  update(run: RunState, decision: ClickState): void {
    const pending = run.status === "paused" ? run.approvals : [];
    show(this.element, pending.length > 0);
    this.#draw(pending, run.can_decide);
    this.#waiting = decision === "sent" || decision === "seen";
    this.#mark();
  }

  get #resting(): boolean {
    return this.#waiting || this.#settling !== undefined;
  }

  #mark(): void {
    // Not disabled, which would take away the focus.
    for (const { buttons } of this.#items.values()) {
      for (const button of buttons) button.setAttribute("aria-disabled", String(this.#resting));
    }
  }

  #settle(): void {
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => {
      this.#settling = undefined;
      this.#mark();
    }, SETTLE_MS);
  }

  /** Renders new approvals; existing ones keep their element and its state. */
  #draw(pending: Approval[], canDecide: boolean): void {
    const items = new Map<string, Item>();
    for (const approval of pending) {
      let look = JSON.stringify([approval, canDecide]);
      // Approvals without an id may be equal.
      while (items.has(look)) look += " ";
      items.set(look, this.#items.get(look) ?? this.#item(approval, canDecide));
    }
    const before = [...this.#items.keys()];
    const now = [...items.keys()];
    // Appending one moves no other.
    if (before.some((look, at) => look !== now[at])) this.#settle();
    for (const [look, { element }] of this.#items) if (!items.has(look)) element.remove();
    [...items.values()].forEach(({ element }, at) => {
      const here = this.element.children[at] ?? null;
      if (here !== element) this.element.insertBefore(element, here);
    });
    this.#items = items;
  }

  #item(approval: Approval, canDecide: boolean): Item {
    const message = html(
      "div",
      { class: "agentnb-approval-message" },
      icon("paused"),
      html("span", {}, visibleText(approval.message || "Approval needed")),
    );
    const element = html("li", {}, message);
    if (approval.tool) message.append(" ", html("code", {}, visibleText(approval.tool)));
    if (approval.arguments && approval.arguments !== "{}") {
      // The user must see what is to be approved.
      const box = new BoundedText("Arguments");
      box.update(indentJson(approval.arguments));
      element.append(box.element);
    }
    if (approval.changed) {
      const words = "This has changed since it was first requested.";
      element.append(html("p", { class: "agentnb-approval-changed", role: "status" }, words));
    }
    const buttons = canDecide
      ? [this.#button("Approve", true, approval), this.#button("Deny", false, approval)]
      : [];
    if (canDecide) element.append(html("div", { class: "agentnb-decisions" }, ...buttons));
    return { element, buttons };
  }

  #button(word: string, approved: boolean, approval: Approval): HTMLButtonElement {
    const what = approval.tool || approval.message;
    const button = html(
      "button",
      {
        type: "button",
        class: `agentnb-button agentnb-${word.toLowerCase()}`,
        "aria-label": what ? `${word} ${visibleText(what)}` : word,
      },
      icon(approved ? "completed" : "failed"),
      word,
    );
    button.addEventListener("click", () => {
      if (!this.#resting) this.#decide(approval.approval_id, approved, approval.key);
    });
    return button;
  }
}
