// Pending approvals, with buttons for the decision.

import { visibleText } from "../markdown/visible.js";
import type { Approval, RunState } from "../protocol.js";
import type { ClickState } from "../session.js";
import { AnswerForm } from "./answer-form.js";
import { BoundedText } from "./bounded.js";
import { html, setText, show } from "./html.js";
import { icon } from "./icons.js";
import { indentJson } from "./json.js";
import { exactMoment, isoMoment, moment } from "./moment.js";

type Decide = (
  approvalId: string | null,
  approved: boolean,
  key?: string,
  payload?: string,
) => void;

/** Time after a change during which a click may have been meant for the previous approval. */
const SETTLE_MS = 500;

interface Item {
  element: HTMLElement;
  buttons: HTMLButtonElement[];
  /** Updates what depends on the time. */
  tick(): void;
}

export class ApprovalsView {
  readonly element = html("ul", {
    class: "agentnb-approvals",
    "aria-label": "Waiting for approval",
  });
  readonly #decide: Decide;
  #items = new Map<string, Item>();
  /** Items of a run whose kernel is gone; once it is back, they still have what was typed. */
  #interrupted = new Map<string, Item>();
  #settling: ReturnType<typeof setTimeout> | undefined;
  #waiting = false;

  constructor(decide: Decide) {
    this.#decide = decide;
  }

  update(run: RunState, decision: ClickState): void {
    const pending = run.status === "paused" ? run.approvals : [];
    show(this.element, pending.length > 0);
    this.#draw(pending, run);
    this.#waiting = decision === "sent" || decision === "seen";
    this.#mark();
  }

  tick(): void {
    for (const item of this.#items.values()) item.tick();
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
  #draw(pending: Approval[], { can_decide: canDecide, status }: RunState): void {
    const items = new Map<string, Item>();
    for (const approval of pending) {
      let look = JSON.stringify([approval, canDecide]);
      // Approvals without an id may be equal.
      while (items.has(look)) look += " ";
      const former = this.#items.get(look) ?? this.#interrupted.get(look);
      items.set(look, former ?? this.#item(approval, canDecide));
    }
    const before = [...this.#items.keys()];
    const now = [...items.keys()];
    // Appending one moves no other.
    if (before.some((look, at) => look !== now[at])) this.#settle();
    const removed = [...this.#items].filter(([look]) => !items.has(look));
    for (const [, { element }] of removed) element.remove();
    if (status !== "interrupted") this.#interrupted.clear();
    else for (const [look, item] of removed) this.#interrupted.set(look, item);
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
    const expiry = expiryOf(approval);
    if (expiry) element.append(expiry.element);
    const tick = () => expiry?.tick();
    if (!canDecide) return { element, buttons: [], tick };
    const approve = () => this.#press(approval, true, form);
    const form = approval.answer_schema ? new AnswerForm(approval, approve) : null;
    if (form) element.append(form.element);
    const buttons = [
      decisionButton(form && !approval.tool ? "Send" : "Approve", true, approval, approve),
      decisionButton("Deny", false, approval, () => this.#press(approval, false, form)),
    ];
    element.append(html("div", { class: "agentnb-decisions" }, ...buttons));
    return { element, buttons, tick };
  }

  #press(approval: Approval, approved: boolean, form: AnswerForm | null): void {
    if (this.#resting) return;
    const { approval_id: id, key, tool } = approval;
    if (!approved || !form || (tool && !form.changed)) {
      this.#decide(id, approved, key);
      return;
    }
    const answer = form.answer();
    if (answer !== null) this.#decide(id, true, key, answer);
  }
}

function decisionButton(
  word: string,
  approved: boolean,
  approval: Approval,
  press: () => void,
): HTMLButtonElement {
  const what = approval.tool || approval.message;
  const button = html(
    "button",
    {
      type: "button",
      class: `agentnb-button ${approved ? "agentnb-approve" : "agentnb-deny"}`,
      "aria-label": what ? `${word} ${visibleText(what)}` : word,
    },
    icon(approved ? (word === "Send" ? "send" : "completed") : "failed"),
    word,
  );
  button.addEventListener("click", press);
  return button;
}

/** A line with the time from which no decision is taken. */
function expiryOf(approval: Approval): { element: HTMLElement; tick(): void } | null {
  const at = Date.parse(approval.expires_at ?? "") / 1000;
  if (Number.isNaN(at)) return null;
  const word = html("span");
  const time = html("time", { datetime: isoMoment(at), title: exactMoment(at) }, moment(at));
  const element = html("p", { class: "agentnb-note" }, word, " ", time);
  const tick = () => setText(word, Date.now() / 1000 < at ? "Expires at" : "Expired");
  tick();
  return { element, tick };
}
