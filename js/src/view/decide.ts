// What a person is asked to decide, while the run waits for it.

import { visibleText } from "../markdown/visible.js";
import type { Approval, RunState } from "../protocol.js";
import type { ClickState } from "../session.js";
import { BoundedText } from "./bounded.js";
import { html, show } from "./html.js";
import { icon } from "./icons.js";
import { indentJson } from "./json.js";

export class ApprovalsView {
  readonly element = html("ul", {
    class: "agentnb-approvals",
    "aria-label": "Waiting for approval",
  });
  readonly #decide: (approvalId: string | null, approved: boolean) => void;
  #shown = "";
  #buttons: HTMLButtonElement[] = [];
  #waiting = false;

  constructor(decide: (approvalId: string | null, approved: boolean) => void) {
    this.#decide = decide;
  }

  update(run: RunState, decision: ClickState): void {
    const asked = run.status === "paused" ? run.approvals : [];
    const key = JSON.stringify([asked, run.can_decide]);
    show(this.element, asked.length > 0);
    if (key !== this.#shown) {
      this.#shown = key;
      this.#buttons = [];
      this.element.replaceChildren(...asked.map((approval) => this.#item(approval, run)));
    }
    // Not disabled outright: that would take the focus away from who has just pressed one.
    this.#waiting = decision === "sent" || decision === "seen";
    for (const button of this.#buttons) {
      button.setAttribute("aria-disabled", String(this.#waiting));
    }
  }

  #item(approval: Approval, run: RunState): HTMLElement {
    const message = html(
      "div",
      { class: "agentnb-approval-message" },
      icon("paused"),
      html("span", {}, visibleText(approval.message || "Approval needed")),
    );
    const item = html("li", {}, message);
    if (approval.tool) message.append(" ", html("code", {}, visibleText(approval.tool)));
    if (approval.arguments && approval.arguments !== "{}") {
      // Nobody should agree to what they cannot see.
      const box = new BoundedText("Arguments");
      box.update(indentJson(approval.arguments));
      item.append(box.element);
    }
    if (run.can_decide) {
      item.append(
        html(
          "div",
          { class: "agentnb-decisions" },
          this.#button("Approve", true, approval),
          this.#button("Deny", false, approval),
        ),
      );
    }
    return item;
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
      if (!this.#waiting) this.#decide(approval.approval_id, approved);
    });
    this.#buttons.push(button);
    return button;
  }
}
