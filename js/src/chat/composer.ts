// The composer: text, files, and the button that sends or stops.

import { visibleText } from "../markdown/visible.js";
import { html, setText, show } from "../view/html.js";
import { icon } from "../view/icons.js";
import { keepTyping } from "../view/keys.js";
import { newId, refusal, thumbnail } from "./attachments.js";
import { button, rename } from "./dom.js";
import { fileCard, fileList } from "./files.js";
import type { ChatSession } from "./session.js";
import { NEEDS_QUESTION, UNDER_WAY } from "./words.js";

/** Maximum lines to which the composer grows. */
const LINES = 8;

export class Composer {
  readonly element: HTMLElement;
  readonly #session: ChatSession;
  readonly #sent: () => void;
  readonly #area = html("textarea", {
    class: "agentnb-chat-input",
    rows: 1,
    spellcheck: "true",
    autocomplete: "off",
    enterkeyhint: "send",
  });
  readonly #files = fileList("Attachments of the next question");
  readonly #editing: HTMLElement;
  readonly #editLabel = html("span");
  readonly #leaveOut: HTMLButtonElement;
  readonly #chooser = html("input", { type: "file", multiple: true, hidden: true, tabindex: -1 });
  readonly #attach: HTMLButtonElement;
  readonly #go: HTMLButtonElement;
  #goes: "send" | "stop" | null = null;
  #drawnFiles: unknown[] = [];
  #measured = "";

  /** `sent` is called after a question was sent from here. */
  constructor(session: ChatSession, sent: () => void) {
    this.#session = session;
    this.#sent = sent;
    this.#leaveOut = html("button", { type: "button", class: "agentnb-chat-link" });
    setText(this.#leaveOut, "Leave out its attachments");
    this.#leaveOut.addEventListener("click", () => {
      const { edit } = session.draft;
      if (edit) session.redraft({ edit: { ...edit, keep: false } });
      this.focus();
    });
    this.#editing = html(
      "div",
      { class: "agentnb-chat-editing" },
      this.#editLabel,
      this.#leaveOut,
      button("close", "Cancel editing", () => this.#cancelEdit()),
    );
    this.#attach = button("attach", "Attach files", () => this.#choose(), {
      className: "agentnb-chat-attach",
    });
    this.#go = button("send", "Send", (event) => this.#press(event), {
      className: "agentnb-chat-go",
    });
    this.element = html(
      "div",
      { class: "agentnb-chat-composer" },
      this.#editing,
      this.#files,
      html("div", { class: "agentnb-chat-row" }, this.#attach, this.#area, this.#go),
      this.#chooser,
    );
    this.#listen();
    this.update();
  }

  focus(): void {
    this.#area.focus({ preventScroll: true });
  }

  /** Loads an earlier question for editing. */
  edit(turn: string): void {
    const { draft, chat } = this.#session;
    const of = chat.turns.find((one) => one.id === turn);
    if (!of || this.#session.lost) return;
    const before = draft.edit?.before ?? { text: draft.text, files: draft.files };
    const edit = { turn, keep: of.attachments.length > 0, before };
    this.#session.redraft({ text: of.prompt, files: [], edit });
    this.focus();
    this.#area.setSelectionRange(of.prompt.length, of.prompt.length);
  }

  /** Attaches files to the next question, or reports why not. */
  add(files: Iterable<File>): void {
    const session = this.#session;
    let refused: string | null = null;
    const taken = [...session.draft.files];
    for (const file of files) {
      const reason = refusal(file, session.chat.media, taken.length + session.kept.length);
      if (reason !== null) {
        refused ??= reason;
        continue;
      }
      const one = { id: newId(), file, preview: null as string | null };
      taken.push(one);
      void thumbnail(file).then((preview) => {
        if (preview === null) return;
        one.preview = preview;
        // Render again if it is still attached.
        this.#drawnFiles = [];
        this.update();
      });
    }
    session.redraft({ files: taken });
    if (refused !== null) session.complain(refused);
    this.focus();
  }

  update(): void {
    const { draft, chat, lost, busy, stopping } = this.#session;
    const title = visibleText(chat.title || chat.agent || "the agent");
    if (this.#area.value !== draft.text) this.#area.value = draft.text;
    this.#area.readOnly = lost;
    this.#area.setAttribute("aria-label", `Message to ${title}`);
    this.#area.placeholder = lost ? "" : `Ask ${title}`;
    this.#attach.setAttribute("aria-disabled", String(lost || chat.media.reason !== null));
    rename(this.#attach, chat.media.reason === null ? "Attach files" : chat.media.reason);
    this.#chooser.accept = chat.media.accept.join(",");
    const at = this.#session.path.findIndex((turn) => turn.id === draft.edit?.turn);
    show(this.#editing, draft.edit !== null);
    setText(this.#editLabel, at < 0 ? "Editing a question" : `Editing question ${at + 1}`);
    show(this.#leaveOut, draft.edit?.keep === true);
    this.#updateGo(busy && !lost ? "stop" : "send", stopping);
    this.#updateFiles();
    this.grow();
  }

  /** Fits the height to the text, within limits. */
  grow(): void {
    const area = this.#area;
    const key = `${area.value}\n${area.clientWidth}`;
    if (key === this.#measured) return;
    this.#measured = key;
    area.style.height = "auto";
    const style = getComputedStyle(area);
    const line = Number.parseFloat(style.lineHeight) || 20;
    const around =
      Number.parseFloat(style.paddingTop) + Number.parseFloat(style.paddingBottom) || 0;
    const most = Math.round(line * LINES + around);
    area.style.height = `${Math.min(area.scrollHeight, most)}px`;
    area.style.overflowY = area.scrollHeight > most ? "auto" : "hidden";
  }

  #listen(): void {
    keepTyping(this.element);
    this.#area.addEventListener("input", () => {
      this.#session.draft.text = this.#area.value;
      this.#updateGo(this.#goes ?? "send", this.#session.stopping);
      this.grow();
    });
    this.#area.addEventListener("keydown", (event) => this.#key(event));
    this.#area.addEventListener("paste", (event) => {
      const files = event.clipboardData?.files;
      if (!files || files.length === 0) return;
      // Office programs add an image of a table to its text and markup: use the text. A file
      // manager adds a name to the file, a browser markup to an image.
      const types = event.clipboardData?.types ?? [];
      if (types.includes("text/plain") && types.includes("text/html")) return;
      event.preventDefault();
      this.add(files);
    });
    this.#chooser.addEventListener("change", () => {
      this.add(this.#chooser.files ?? []);
      this.#chooser.value = "";
    });
  }

  #key(event: KeyboardEvent): void {
    // Keys during input method composition; some browsers report them only as 229.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#send();
    } else if (event.key === "Escape" && this.#session.draft.edit) {
      event.preventDefault();
      this.#cancelEdit();
    } else if (event.key === "ArrowUp" && this.#isEmpty() && !this.#session.draft.edit) {
      const last = this.#session.path.at(-1);
      if (!last || this.#session.busy) return;
      event.preventDefault();
      this.edit(last.id);
    }
  }

  #press(event: MouseEvent): void {
    if (this.#goes === "send") this.#send();
    // The second click of a double click on Send must not stop the run.
    else if (event.detail < 2) this.#session.stop();
    this.focus();
  }

  #send(): void {
    const session = this.#session;
    const lacks = session.lacks;
    if (lacks === "anything" || session.lost) return;
    if (session.busy) {
      session.complain(UNDER_WAY);
      return;
    }
    if (lacks) {
      session.complain(NEEDS_QUESTION);
      return;
    }
    if (session.send()) this.#sent();
  }

  #choose(): void {
    const { chat, lost } = this.#session;
    if (lost) return;
    if (chat.media.reason === null) this.#chooser.click();
    else this.#session.complain(chat.media.reason);
  }

  #cancelEdit(): void {
    const { edit } = this.#session.draft;
    if (edit) this.#session.redraft({ ...edit.before, edit: null });
    this.focus();
  }

  #isEmpty(): boolean {
    const { text, files } = this.#session.draft;
    return text.trim() === "" && files.length === 0;
  }

  #updateGo(goes: "send" | "stop", stopping: boolean): void {
    if (goes !== this.#goes) {
      this.#goes = goes;
      this.#go.replaceChildren(icon(goes));
      this.#go.dataset.goes = goes;
    }
    const lacks = this.#session.lacks;
    const send = lacks === "question" ? "Send: the files need a question" : "Send";
    rename(this.#go, goes === "send" ? send : stopping ? "Stopping…" : "Stop");
    const off = goes === "send" ? lacks !== null || this.#session.lost : stopping;
    this.#go.setAttribute("aria-disabled", String(off));
  }

  #updateFiles(): void {
    const { files } = this.#session.draft;
    const kept = this.#session.kept;
    const key = [...kept, ...files];
    show(this.#files, key.length > 0);
    const same = this.#drawnFiles;
    if (key.length === same.length && key.every((one, i) => one === same[i])) return;
    this.#drawnFiles = key;
    this.#files.replaceChildren(
      ...kept.map((file) => fileCard(file)),
      ...files.map((one) => {
        const { name, type, size } = one.file;
        const shown = { name, mime_type: type || null, size, preview: one.preview };
        return fileCard(shown, () => {
          const others = this.#session.draft.files.filter((other) => other !== one);
          this.#session.redraft({ files: others });
          this.focus();
        });
      }),
    );
  }
}
