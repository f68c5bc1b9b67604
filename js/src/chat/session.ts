// One chat in the page: the channel to the kernel, its state, and the draft.

import { isFinal, type RunState } from "../protocol.js";
import type { RunSession } from "../session.js";
import { SnapshotWriter } from "../snapshot-writer.js";
import { newId } from "./attachments.js";
import { type ChatChannel, Connection } from "./connection.js";
import { before, type Draft, emptyDraft, keptWith, LONGEST, lacks, question } from "./draft.js";
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
import { announcement, BUSY, LOST, NOT_TAKEN, SILENT, TOO_LONG, UNREADABLE } from "./words.js";

export class ChatSession {
  draft: Draft = emptyDraft();
  readonly #channel: ChatChannel;
  readonly #connection: Connection;
  readonly #fold: ChatFold;
  readonly #outbox: Outbox;
  readonly #runs: TurnRuns;
  readonly #listeners = new Set<() => void>();
  readonly #aborter = new AbortController();
  #sessionsRequest: { id: string; take(sessions: EarlierSession[] | null): void } | null = null;
  #showing: { id: string; turn: string } | null = null;
  readonly #writer = new SnapshotWriter(() => this.#keep());
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
    this.#connection = new Connection(channel, {
      poll: () => this.#poll(),
      isAnswerDue: () => this.#fold.broken || this.#outbox.size > 0,
      changed: () => this.#notify(),
      unreadable: (id) => this.#refused(id, UNREADABLE),
    });
    this.#outbox = new Outbox(this.#connection, (draft) => {
      this.draft = before(draft, this.draft);
    });
    this.#runs = new TurnRuns(
      (turn, message) => this.#connection.send({ type: "run", turn, message }),
      (change, turn, run) => this.#changedRun(change, turn, run),
    );
    channel.listen(
      {
        message: (value) => this.#receive(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#aborter.signal,
    );
    for (const turn of this.chat.turns) this.#runs.put(turn);
    if (!this.lost) this.#connection.poll();
  }

  /** The chat as the kernel sent it. */
  get chat(): Readonly<ChatState> {
    return this.#fold.chat;
  }

  /** The turns of the current branch, including those that the kernel has not received yet. */
  get path(): readonly TurnState[] {
    if (this.#path) return this.#path;
    const pending = this.#outbox.turns;
    // The kernel's branch, unless the user has just changed it here.
    const shown = pending.at(-1)?.id ?? this.#showing?.turn ?? this.chat.shown;
    this.#path = branch([...this.chat.turns, ...pending], shown);
    return this.#path;
  }

  /** Whether an answer is in progress on any branch, except one that waits for a decision. */
  get busy(): boolean {
    return this.#outbox.size > 0 || (!this.lost && this.#runs.going().length > 0);
  }

  /** Whether the host reports that the kernel is gone. */
  get lost(): boolean {
    return this.#connection.gone;
  }

  /** Whether a click on Stop has had no effect yet, and was not unanswered. */
  get stopping(): boolean {
    return this.#runs.going().some(({ stopState }) => stopState === "sent" || stopState === "seen");
  }

  /** One line about a problem, or a notice of the kernel. */
  get note(): { text: string; bad: boolean } | null {
    if (this.lost) return { text: LOST, bad: false };
    if (this.#complaint !== null) return { text: this.#complaint, bad: true };
    if (this.#connection.late) return { text: BUSY, bad: false };
    if (this.#connection.silent) return { text: SILENT, bad: false };
    const { notice } = this.chat;
    return notice ? { text: notice, bad: false } : null;
  }

  /** The last announcement, and how many there were. */
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

  /** Whether the kernel has not sent a turn yet. */
  isPending(turn: string): boolean {
    return this.#outbox.has(turn);
  }

  /** Calls back after changes other than a run's content; returns how to unsubscribe. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Changes the draft from code, and updates all views. */
  redraft(changes: Partial<Draft>): void {
    Object.assign(this.draft, changes);
    this.#notify();
  }

  /** Displays and announces a problem. */
  complain(text: string): void {
    this.#complaint = text;
    this.announce(text);
  }

  announce(text: string): void {
    this.#announced = { count: this.#announced.count + 1, text };
    this.#notify();
  }

  /** The attachments of the edited question, if they are kept. */
  get kept(): readonly Attachment[] {
    return keptWith(this.draft, this.chat);
  }

  /** What the draft lacks: anything at all, or a question for its files. */
  get lacks(): "anything" | "question" | null {
    return lacks(this.draft, this.chat);
  }

  /** Sends the draft, or this text instead; false if that is not possible now. */
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

  /** Requests another answer to a turn's question. */
  again(turn: string): void {
    const of = this.chat.turns.find((one) => one.id === turn);
    if (!of || this.busy || this.lost) return;
    const id = newId();
    const { parent, prompt, attachments } = of;
    this.#pend({ id, parent, prompt, attachments }, null, { type: "again", id, turn });
  }

  /** Stops the answer in progress; a question whose files are still being read is restored. */
  stop(): void {
    this.#outbox.giveBackAll(true);
    this.#retain();
    for (const session of this.#runs.going()) session.stop();
    this.#changed();
  }

  /** Displays the branch through a turn, at once. */
  show(turn: string): void {
    const id = newId();
    this.#showing = { id, turn: leaf(this.chat.turns, turn) };
    this.#request({ type: "show", id, turn });
  }

  /** Starts a new session, at once. */
  fresh(): void {
    const id = newId();
    this.#showing = { id, turn: "" };
    this.#request({ type: "new", id });
  }

  /** Opens an earlier session. */
  open(key: string): void {
    this.#request({ type: "open", id: newId(), key });
  }

  /** The earlier sessions, newest first; null if the kernel cannot list them. */
  sessions(): Promise<EarlierSession[] | null> {
    this.#sessionsRequest?.take(null);
    const id = newId();
    const answer = new Promise<EarlierSession[] | null>((take) => {
      this.#sessionsRequest = { id, take };
    });
    this.#request({ type: "sessions", id });
    return answer;
  }

  dispose(): void {
    this.#aborter.abort();
    this.#writer.flush();
    this.#connection.end();
    this.#sessionsRequest?.take(null);
    this.#runs.dispose();
    this.#listeners.clear();
  }

  #receive(value: unknown): void {
    if (this.lost) this.#lose(false);
    const wasBroken = this.#fold.broken;
    const readable = isChatMessage(value);
    // A kernel of another version must not be asked for its state again and again.
    if (readable) this.#connection.answered();
    if (!readable) this.#fold.gap();
    else if (value.type === "run") {
      if (!this.#runs.receive(value.turn, value.message)) this.#fold.gap();
    } else this.#take(value);
    // Once per gap; if the answer is lost too, the timer asks again.
    if (this.#fold.broken && !wasBroken) this.#connection.gap();
    else this.#connection.restartTimer();
  }

  #take(message: Exclude<ChatMessage, { type: "run" }>): void {
    switch (message.type) {
      case "ack":
        this.#connection.acknowledge(message.id);
        this.#outbox.seen(message.id);
        this.#notify();
        return;
      case "refused":
        this.#refused(message.id, message.message);
        return;
      case "sessions":
        this.#connection.acknowledge(message.id);
        if (this.#sessionsRequest?.id === message.id) this.#sessionsRequest.take(message.sessions);
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
    if (this.#writer.writing) return;
    const snapshot = this.#channel.snapshot();
    if (!isChatSnapshot(snapshot) || this.#fold.replace(snapshot) !== "applied") return;
    this.#applied();
    this.#connection.restartTimer();
  }

  /** Updates everything from the new state. */
  #applied(): void {
    const { turns } = this.chat;
    for (const turn of turns) this.#runs.put(turn);
    this.#outbox.settle(turns);
    this.#retain();
    const { edit } = this.draft;
    if (edit && !turns.some((turn) => turn.id === edit.turn)) this.draft.edit = null;
    this.#changed();
    this.#writer.write();
  }

  /** After the whole state: commands that are not in it are sent again, or were refused. */
  #settle(): void {
    // Only questions, which the kernel identifies by their id and asks only once.
    const wanted = (id: string) => this.#outbox.has(id) && this.source(id)?.stopState === "none";
    for (const id of [...this.#outbox.acknowledged, ...this.#connection.settle(wanted)]) {
      this.#refused(id, NOT_TAKEN);
    }
  }

  #refused(id: string, message: string): void {
    this.#connection.acknowledge(id);
    if (this.#showing?.id === id) this.#showing = null;
    if (this.#sessionsRequest?.id === id) this.#sessionsRequest.take(null);
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
      this.#sessionsRequest?.take(null);
    }
    this.#connection.lose(gone);
    if (gone) this.announce(LOST);
    this.#changed();
  }

  #changedRun(change: TurnChange, turn: TurnState, run: RunState): void {
    if (change === "late") this.#writer.writeSoon();
    else if (change === "status") this.#turned(turn, run);
    else this.#notify();
  }

  #turned(turn: TurnState, run: RunState): void {
    if (isFinal(run.status) && !this.lost) this.#writer.write();
    const text = this.path.some((one) => one.id === turn.id) ? announcement(run) : undefined;
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

  #request(command: ChatCommand): void {
    this.#complaint = null;
    this.#connection.request(command);
    this.#changed();
  }

  /** Requests the whole state, or only tests the connection if all is known. */
  #poll(): void {
    const last = this.chat.turns.at(-1);
    if (!last || this.#fold.broken || this.#outbox.size > 0 || this.#connection.isWaiting) {
      this.#connection.send({ type: "resync", seq: this.#fold.seq });
      return;
    }
    // An unfinished run tests the connection as well.
    if (this.#runs.live().includes(last.id)) return;
    const message = { type: "resync", seq: last.run.seq } as const;
    this.#connection.send({ type: "run", turn: last.id, message });
  }

  /** Stores the chat in the host's model; cheap, since it contains only references. */
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
