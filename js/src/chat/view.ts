// View of one chat.

import { visibleText } from "../markdown/visible.js";
import { focused, handingOver } from "../view/focus.js";
import { html, setText, show } from "../view/html.js";
import { keepKeys } from "../view/keys.js";
import { Composer } from "./composer.js";
import { button, rename } from "./dom.js";
import { ChatHead } from "./head.js";
import { Follower } from "./scroll.js";
import type { ChatSession } from "./session.js";
import { Slices } from "./slices.js";
import { type TurnActions, TurnView } from "./turn.js";
import { UNDER_WAY } from "./words.js";

/** Turns at the end that are rendered at once; the others follow in slices. */
const AT_ONCE = 2;

export class ChatView {
  readonly element: HTMLElement;
  readonly #session: ChatSession;
  readonly #head: ChatHead;
  readonly #composer: Composer;
  readonly #list = html("div", { class: "agentnb-chat-list" });
  readonly #empty = html("div", { class: "agentnb-chat-empty" });
  readonly #box: HTMLElement;
  readonly #jump: HTMLButtonElement;
  readonly #jumpLabel = html("span");
  readonly #note = html("p", { class: "agentnb-chat-note" });
  /** Announces the state of answers; the log itself is not announced while it grows. */
  readonly #announcer = html("div", { class: "agentnb-said", role: "status" });
  readonly #follower: Follower;
  readonly #slices = new Slices<TurnView>((turn) => turn.fill());
  readonly #actions: TurnActions;
  readonly #sight: IntersectionObserver | undefined;
  readonly #unsubscribe: () => void;
  #turns = new Map<string, TurnView>();
  #announced: number;
  #news = false;
  /** Whether the composer was visible, and the height of the box, at the last check. */
  #inSight = true;
  #height = 0;
  #drags = 0;
  readonly #handOver: () => void;

  constructor(session: ChatSession) {
    this.#session = session;
    this.#announced = session.announced.count;
    this.#composer = new Composer(session, () => this.#follower.end());
    this.#head = new ChatHead(session, () => this.#composer.focus());
    this.#box = html(
      "div",
      { class: "agentnb-chat-log", role: "log", "aria-live": "off", tabindex: 0 },
      this.#empty,
      this.#list,
    );
    this.#box.setAttribute("aria-label", "Conversation");
    this.#jump = button("end", "Jump to the end", () => this.#toEnd(), {
      className: "agentnb-chat-jump",
      words: "",
    });
    this.#jump.lastChild?.replaceWith(this.#jumpLabel);
    this.element = html(
      "div",
      { class: "agentnb agentnb-chat", role: "group" },
      this.#head.element,
      html("div", { class: "agentnb-chat-middle" }, this.#box, this.#jump, this.#head.menu.panel),
      this.#note,
      this.#composer.element,
      this.#announcer,
    );
    keepKeys(this.element);
    this.#handOver = handingOver(this.element);
    this.#actions = this.#makeActions();
    this.#follower = new Follower(this.#box, this.#list, (grew) => this.#scrolled(grew));
    if (typeof IntersectionObserver === "function") {
      this.#sight = new IntersectionObserver((seen) => {
        this.#inSight = seen.at(-1)?.isIntersecting ?? true;
      });
      this.#sight.observe(this.#composer.element);
    }
    this.#listen();
    this.#unsubscribe = session.subscribe(() => this.#update());
    this.#update();
  }

  dispose(): void {
    this.#unsubscribe();
    this.#follower.dispose();
    this.#sight?.disconnect();
    this.#slices.dispose();
    this.#handOver();
    for (const turn of this.#turns.values()) turn.dispose();
    this.element.remove();
  }

  #update(): void {
    const session = this.#session;
    const { chat, path, note, announced, draft } = session;
    const title = visibleText(chat.title || chat.agent || "the agent");
    this.element.setAttribute("aria-label", `Chat with ${title}`);
    this.element.toggleAttribute("data-lost", session.lost);
    this.element.toggleAttribute("data-busy", session.busy);
    this.#head.update();
    this.#updateTurns();
    show(this.#empty, path.length === 0);
    if (path.length === 0) this.#greet(title, chat.media.reason === null);
    for (const turn of this.#turns.values()) turn.mark(turn.id === draft.edit?.turn);
    setText(this.#note, visibleText(note?.text ?? ""));
    show(this.#note, note !== null);
    this.#note.toggleAttribute("data-bad", note?.bad ?? false);
    this.#composer.update();
    if (announced.count !== this.#announced) {
      this.#announced = announced.count;
      // The same text is announced again only if it differs.
      this.#announcer.textContent =
        visibleText(announced.text) + (announced.count % 2 ? "\u00a0" : "");
    }
  }

  #updateTurns(): void {
    const session = this.#session;
    const made = new Map<string, TurnView>();
    const fresh: TurnView[] = [];
    session.path.forEach((turn, i) => {
      let view = this.#turns.get(turn.id);
      if (view) this.#turns.delete(turn.id);
      else {
        view = new TurnView(turn, this.#actions);
        fresh.push(view);
      }
      made.set(turn.id, view);
      view.update(turn, { number: i + 1, versions: session.versions(turn) });
    });
    for (const gone of this.#turns.values()) gone.dispose();
    this.#turns = made;
    let at = this.#list.firstElementChild;
    for (const { element } of made.values()) {
      if (element === at) at = at.nextElementSibling;
      else this.#list.insertBefore(element, at);
    }
    if (fresh.length === 0) return;
    for (const view of fresh.slice(-AT_ONCE)) view.fill();
    this.#slices.replace([...made.values()].filter((view) => !view.built));
  }

  #greet(title: string, takesFiles: boolean): void {
    const lines = [
      `Ask ${title} something.`,
      "Enter sends, Shift+Enter begins a new line.",
      ...(takesFiles ? ["Files can be attached, pasted or dropped."] : []),
    ];
    if (this.#empty.childElementCount === lines.length) {
      const first = this.#empty.firstChild;
      if (first) setText(first, lines[0] ?? "");
      return;
    }
    this.#empty.replaceChildren(...lines.map((line) => html("p", {}, line)));
  }

  #makeActions(): TurnActions {
    const session = this.#session;
    const idle = () => {
      if (session.busy) session.complain(UNDER_WAY);
      return !session.busy;
    };
    return {
      source: (turn) => session.source(turn),
      edit: (turn) => this.#composer.edit(turn),
      again: (turn) => {
        if (!idle()) return;
        session.again(turn);
        // Its button was removed along with its version.
        this.#composer.focus();
        this.#follower.end();
      },
      show: (turn, direction) => {
        session.show(turn);
        this.#turns.get(turn)?.fill();
        if (!this.#turns.get(turn)?.focusVersion(direction)) this.#box.focus();
      },
      followup: (text) => {
        if (!idle() || !session.send(text)) return;
        this.#composer.focus();
        this.#follower.end();
      },
    };
  }

  #toEnd(): void {
    this.#follower.end();
    this.#composer.focus();
  }

  /** The user scrolled to the end or away from it, or the conversation grew. */
  #scrolled(grew: boolean): void {
    this.#keepInSight();
    const { following } = this.#follower;
    this.#news = !following && (this.#news || (grew && this.#session.busy));
    // If the focused button is removed, move the focus to where it leads.
    const held = following && focused(this.#jump) === this.#jump;
    show(this.#jump, !following);
    if (held) this.#composer.focus();
    this.element.toggleAttribute("data-away", !following);
    setText(this.#jumpLabel, this.#news ? "New" : "");
    rename(this.#jump, this.#news ? "Jump to the end, there is new text" : "Jump to the end");
  }

  /** A growing chat must not push the composer out of view while the user types. */
  #keepInSight(): void {
    const { clientHeight } = this.#box;
    if (clientHeight === this.#height) return;
    const grew = clientHeight > this.#height;
    this.#height = clientHeight;
    const { element } = this.#composer;
    if (grew && this.#inSight && element.contains(focused(element))) {
      element.scrollIntoView({ block: "nearest" });
    }
  }

  #listen(): void {
    this.#jump.hidden = true;
    const hasFiles = (event: DragEvent) => event.dataTransfer?.types.includes("Files") ?? false;
    const drag = (by: number | null) => {
      this.#drags = by === null ? 0 : Math.max(0, this.#drags + by);
      this.element.toggleAttribute("data-drop", this.#drags > 0);
    };
    const on = (
      name: "dragenter" | "dragover" | "dragleave" | "drop",
      then: (e: DragEvent) => void,
    ) =>
      this.element.addEventListener(name, (event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        event.stopPropagation();
        then(event);
      });
    on("dragenter", () => drag(1));
    on("dragleave", () => drag(-1));
    on("dragover", ({ dataTransfer }) => {
      // Also if none are supported: the reason is displayed after the drop.
      if (dataTransfer) dataTransfer.dropEffect = "copy";
    });
    on("drop", ({ dataTransfer }) => {
      drag(null);
      if (dataTransfer && !this.#session.lost) this.#composer.add(dataTransfer.files);
    });
  }
}
