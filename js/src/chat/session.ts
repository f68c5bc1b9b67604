// A chat's session in the page: channel to the kernel, folded state, draft.

import { Keeper } from "../keeper.js";
import { isFinal, type RunState } from "../protocol.js";
import type { RunSession } from "../session.js";
import { newId } from "./attachments.js";
import { before, type Draft, emptyDraft, keptWith, LONGEST, lacks, question } from "./draft.js";
import { type ChatChannel, Line } from "./line.js";
import { Outbox } from "./outbox.js";
import {
  type Attachment,
  type ChatCommand,
  type ChatMessage,
  type ChatState,
  type EarlierSession,
  isChatMessage,
  isChatSnapshot,
  type TurnState,
} from "./protocol.js";
import { branch, ChatFold, leaf, versions } from "./state.js";
import { pendingTurn, type TurnChange, TurnRuns } from "./turns.js";
import { BUSY, LOST, NOT_TAKEN, SILENT, said, TOO_LONG, UNREADABLE } from "./words.js";

export class ChatSession {
  draft: Draft = emptyDraft();
  readonly #channel: ChatChannel;
  readonly #line: Line;
  readonly #fold: ChatFold;
  readonly #outbox: Outbox;
  readonly #runs: TurnRuns;
  readonly #listeners = new Set<() => void>();
  readonly #ending = new AbortController();
  #asked: { id: string; take(sessions: EarlierSession[] | null): void } | null = null;
  #showing: { id: string; turn: string } | null = null;
  readonly #keeper = new Keeper(() => this.#keep());
  #complaint: string | null = null;
  #announced = { count: 0, text: "" };
  #path: TurnState[] | null = null;
  #versions: Map<string, string[]> | null = null;

  constructor(channel: ChatChannel) {
    this.#channel = channel;
    const first = channel.snapshot();
    const valid = isChatSnapshot(first);
    this.#fold = new ChatFold(valid ? first : null);
    if (!valid) this.#fold.gap();
    this.#line = new Line(channel, {
      question: () => this.#question(),
      due: () => this.#fold.broken || this.#outbox.size > 0,
      changed: () => this.#notify(),
      unreadable: (id) => this.#refused(id, UNREADABLE),
    });
    this.#outbox = new Outbox(this.#line, (draft) => {
      this.draft = before(draft, this.draft);
    });
    this.#runs = new TurnRuns(
      (turn, message) => this.#line.send({ type: "run", turn, message }),
      (change, turn, run) => this.#changedRun(change, turn, run),
    );
    channel.listen(
      {
        message: (value) => this.#hear(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#ending.signal,
    );
    for (const turn of this.chat.turns) this.#runs.put(turn);
    if (!this.lost) this.#line.question();
  }

  /** The chat as received from the kernel. */
  get chat(): Readonly<ChatState> {
    return this.#fold.chat;
  }

  /** The turns of the displayed branch, including those that the kernel has not reported yet. */
  get path(): readonly TurnState[] {
    if (this.#path) return this.#path;
    const asked = this.#outbox.turns;
    // The kernel determines the branch, except right after a local change.
    const shown = asked.at(-1)?.id ?? this.#showing?.turn ?? this.chat.shown;
    this.#path = branch([...this.chat.turns, ...asked], shown);
    return this.#path;
  }

  /** True while any branch has an active answer, unless it waits for a decision. */
  get busy(): boolean {
    return this.#outbox.size > 0 || (!this.lost && this.#runs.going().length > 0);
  }

  /** True when the host reports the comm as closed: nothing can be sent. */
  get lost(): boolean {
    return this.#line.gone;
  }

  /** True from a click on Stop until the run ends or the click stays unanswered. */
  get stopping(): boolean {
    return this.#runs.going().some(({ stopState }) => stopState === "sent" || stopState === "seen");
  }

  /** The line to display: a problem or a notice from the kernel. */
  get note(): { text: string; bad: boolean } | null {
    if (this.lost) return { text: LOST, bad: false };
    if (this.#complaint !== null) return { text: this.#complaint, bad: true };
    if (this.#line.late) return { text: BUSY, bad: false };
    if (this.#line.silent) return { text: SILENT, bad: false };
    const { notice } = this.chat;
    return notice ? { text: notice, bad: false } : null;
  }

  /** The last announcement, and the number of announcements. */
  get announced(): { count: number; text: string } {
    return this.#announced;
  }

  /** The ids of all versions of a turn's question, in order of creation. */
  versions(turn: TurnState): readonly string[] {
    this.#versions ??= versions([...this.chat.turns, ...this.#outbox.turns]);
    return this.#versions.get(turn.parent ?? "") ?? [turn.id];
  }

  source(turn: string): RunSession | undefined {
    return this.#runs.source(turn);
  }

  /** Whether the kernel has not reported the turn yet. */
  isPending(turn: string): boolean {
    return this.#outbox.has(turn);
  }

  /** Call back after changes other than to a run's content; return a function that unsubscribes. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Change the draft other than by typing; all views update. */
  redraft(changes: Partial<Draft>): void {
    Object.assign(this.draft, changes);
    this.#notify();
  }

  /** Display and announce a problem. */
  complain(text: string): void {
    this.#complaint = text;
    this.announce(text);
  }

  announce(text: string): void {
    this.#announced = { count: this.#announced.count + 1, text };
    this.#notify();
  }

  /** The attachments kept from the edited question. */
  get kept(): readonly Attachment[] {
    return keptWith(this.draft, this.chat);
  }

  /** What must be added before sending: anything, or a question to the files. */
  get lacks(): "anything" | "question" | null {
    return lacks(this.draft, this.chat);
  }

  /** Send the draft or the given text; return false where that is not possible now. */
  send(text?: string): boolean {
    const draft = text === undefined ? this.draft : { ...emptyDraft(), text };
    if (this.busy || this.lost || lacks(draft, this.chat)) return false;
    if (draft.text.length > LONGEST) {
      this.complain(TOO_LONG);
      return false;
    }
    const { command, turn } = question(draft, this.chat, this.path.at(-1)?.id ?? null);
    if (text === undefined) this.draft = { ...emptyDraft(), ...draft.edit?.before };
    this.#pend(turn, draft, command);
    return true;
  }

  /** Request another answer to a turn's question. */
  again(turn: string): void {
    const of = this.chat.turns.find((one) => one.id === turn);
    if (!of || this.busy || this.lost) return;
    const id = newId();
    const { parent, prompt, attachments } = of;
    this.#pend({ id, parent, prompt, attachments }, null, { type: "again", id, turn });
  }

  /** Stop the active answers; questions whose files are still being read return to the composer. */
  stop(): void {
    this.#outbox.giveBackAll(true);
    this.#retain();
    for (const session of this.#runs.going()) session.stop();
    this.#changed();
  }

  /** Display the branch through a turn, before the kernel confirms. */
  show(turn: string): void {
    const id = newId();
    this.#showing = { id, turn: leaf(this.chat.turns, turn) };
    this.#ask({ type: "show", id, turn });
  }

  /** Start a new session, before the kernel confirms. */
  fresh(): void {
    const id = newId();
    this.#showing = { id, turn: "" };
    this.#ask({ type: "new", id });
  }

  /** Open an earlier session. */
  open(key: string): void {
    this.#ask({ type: "open", id: newId(), key });
  }

  /** Return the earlier sessions, newest first; null where the kernel can't list them. */
  sessions(): Promise<EarlierSession[] | null> {
    this.#asked?.take(null);
    const id = newId();
    const answer = new Promise<EarlierSession[] | null>((take) => {
      this.#asked = { id, take };
    });
    this.#ask({ type: "sessions", id });
    return answer;
  }

  dispose(): void {
    this.#ending.abort();
    this.#keeper.end();
    this.#line.end();
    this.#asked?.take(null);
    this.#runs.dispose();
    this.#listeners.clear();
  }

  #hear(value: unknown): void {
    if (this.lost) this.#lose(false);
    const wasBroken = this.#fold.broken;
    const readable = isChatMessage(value);
    // Messages from a kernel of another version must not reset the backoff.
    if (readable) this.#line.heard();
    if (!readable) this.#fold.gap();
    else if (value.type === "run") {
      if (!this.#runs.hear(value.turn, value.message)) this.#fold.gap();
    } else this.#take(value);
    // Request a resync once per gap; if the response is lost too, the timer repeats the request.
    if (this.#fold.broken && !wasBroken) this.#line.gap();
    else this.#line.quiet();
  }

  #take(message: Exclude<ChatMessage, { type: "run" }>): void {
    switch (message.type) {
      case "ack":
        this.#line.seen(message.id);
        this.#outbox.seen(message.id);
        this.#notify();
        return;
      case "refused":
        this.#refused(message.id, message.message);
        return;
      case "sessions":
        this.#line.seen(message.id);
        if (this.#asked?.id === message.id) this.#asked.take(message.sessions);
        this.#notify();
        return;
      default: {
        if (this.#fold.apply(message) !== "applied") return;
        const whole = message.type === "snapshot";
        if (whole || message.ops.some((op) => op.op === "chat" && "shown" in op.set)) {
          this.#showing = null;
        }
        this.#applied();
        if (whole) this.#settle();
      }
    }
  }

  #read(): void {
    if (this.#keeper.writing) return;
    const snapshot = this.#channel.snapshot();
    if (!isChatSnapshot(snapshot) || this.#fold.replace(snapshot) !== "applied") return;
    this.#applied();
    this.#line.quiet();
  }

  /** Update everything that depends on the folded state. */
  #applied(): void {
    const { turns } = this.chat;
    for (const turn of turns) this.#runs.put(turn);
    this.#outbox.settle(turns);
    this.#retain();
    const { edit } = this.draft;
    if (edit && !turns.some((turn) => turn.id === edit.turn)) this.draft.edit = null;
    this.#changed();
    this.#keeper.now();
  }

  /** After a full snapshot: resend lost questions, and restore those that the kernel rejected. */
  #settle(): void {
    // Only questions: the kernel deduplicates them by id.
    const wanted = (id: string) => this.#outbox.has(id) && this.source(id)?.stopState === "none";
    for (const id of [...this.#outbox.heard, ...this.#line.settle(wanted)]) {
      this.#refused(id, NOT_TAKEN);
    }
  }

  #refused(id: string, message: string): void {
    this.#line.seen(id);
    if (this.#showing?.id === id) this.#showing = null;
    if (this.#asked?.id === id) this.#asked.take(null);
    this.#outbox.giveBack(id);
    this.#retain();
    this.#changed();
    this.complain(message);
  }

  #lose(gone: boolean): void {
    if (gone === this.lost) return;
    this.#runs.lose(gone);
    if (gone) {
      this.#outbox.giveBackAll();
      this.#retain();
      this.#asked?.take(null);
    }
    this.#line.lose(gone);
    if (gone) this.announce(LOST);
    this.#changed();
  }

  #changedRun(change: TurnChange, turn: TurnState, run: RunState): void {
    if (change === "late") this.#keeper.soon();
    else if (change === "status") this.#turned(turn, run);
    else this.#notify();
  }

  #turned(turn: TurnState, run: RunState): void {
    if (isFinal(run.status) && !this.lost) this.#keeper.now();
    const text = this.path.some((one) => one.id === turn.id) ? said(run) : undefined;
    if (text && !this.lost) this.announce(text);
    else this.#notify();
  }

  #pend(
    turn: Pick<TurnState, "id" | "parent" | "prompt" | "attachments">,
    draft: Draft | null,
    command: ChatCommand,
  ): void {
    const pending = pendingTurn({ ...turn, session_id: this.chat.session_id }, this.chat);
    this.#complaint = null;
    this.#showing = null;
    this.#runs.putPending(pending);
    this.#outbox.add(pending, draft, command);
    this.#changed();
  }

  #ask(command: ChatCommand): void {
    this.#complaint = null;
    this.#line.ask(command);
    this.#changed();
  }

  /** Request a resync, or, if nothing is missing, only check whether the kernel responds. */
  #question(): void {
    const last = this.chat.turns.at(-1);
    if (!last || this.#fold.broken || this.#outbox.size > 0 || this.#line.waits) {
      this.#line.send({ type: "resync", seq: this.#fold.seq });
      return;
    }
    // The session of an active run polls already, with the same effect.
    if (this.#runs.live().includes(last.id)) return;
    const message = { type: "resync", seq: last.run.seq } as const;
    this.#line.send({ type: "run", turn: last.id, message });
  }

  /** Save the chat in the host's model. Cheap: it holds references to finished turns. */
  #keep(): void {
    const { chat, seq } = this.#fold;
    const turns = chat.turns.map((turn) => this.#runs.kept(turn));
    this.#channel.keep({ seq, chat: { ...chat, turns } });
  }

  #retain(): void {
    const those = [...this.chat.turns, ...this.#outbox.turns];
    this.#runs.retain(new Set(those.map((turn) => turn.id)));
  }

  #changed(): void {
    this.#path = null;
    this.#versions = null;
    this.#notify();
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
