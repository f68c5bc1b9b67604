// Questions sent from this page that the kernel has not yet reported as turns.

import { type DraftFile, upload } from "./attachments.js";
import type { Draft } from "./draft.js";
import type { Line } from "./line.js";
import type { ChatCommand, TurnState } from "./protocol.js";

interface Pending {
  turn: TurnState;
  /** The draft to restore if the kernel refuses; null for a regenerated answer. */
  draft: Draft | null;
  posted: boolean;
  seen: boolean;
}

export class Outbox {
  readonly #line: Line;
  readonly #back: (draft: Draft) => void;
  readonly #pending = new Map<string, Pending>();

  /** `restore` puts a rejected draft back into the composer. */
  constructor(line: Line, back: (draft: Draft) => void) {
    this.#line = line;
    this.#back = back;
  }

  get turns(): TurnState[] {
    return [...this.#pending.values()].map((pending) => pending.turn);
  }

  get size(): number {
    return this.#pending.size;
  }

  has(id: string): boolean {
    return this.#pending.has(id);
  }

  /** Send the command that creates this turn, after the files that it refers to. */
  add(turn: TurnState, draft: Draft | null, command: ChatCommand): void {
    const pending: Pending = { turn, draft, posted: false, seen: false };
    this.#pending.set(turn.id, pending);
    if (draft && draft.files.length > 0) void this.#postWithFiles(pending, draft.files, command);
    else this.#post(pending, command);
  }

  /** Mark a command as acknowledged by the kernel, though not yet executed. */
  seen(id: string): void {
    const pending = this.#pending.get(id);
    if (pending) pending.seen = true;
  }

  /** Remove the turns that the kernel has reported. */
  settle(turns: readonly TurnState[]): void {
    for (const { id } of turns) if (this.#pending.delete(id)) this.#line.seen(id);
  }

  /** Acknowledged questions; if a full snapshot lacks them, the kernel rejected them. */
  get heard(): string[] {
    return [...this.#pending].flatMap(([id, { seen }]) => (seen ? [id] : []));
  }

  /** Remove a rejected question and restore its draft. */
  giveBack(id: string): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    this.#line.seen(id);
    if (pending.draft) this.#back(pending.draft);
  }

  /** Restore all questions, or those not sent yet. */
  giveBackAll(unposted = false): void {
    for (const [id, { posted }] of this.#pending) if (!unposted || !posted) this.giveBack(id);
  }

  async #postWithFiles(pending: Pending, files: DraftFile[], command: ChatCommand): Promise<void> {
    const wanted = () => this.#pending.get(command.id) === pending;
    try {
      for (const file of files) {
        const send = (
          part: { upload: string; index: number; last: boolean },
          buffer: ArrayBuffer,
        ) => this.#line.send({ type: "upload", ...part }, [buffer]);
        await upload(file, send, wanted);
      }
      if (wanted()) this.#post(pending, command);
    } catch {
      // The file changed or was deleted after it was chosen.
      if (wanted()) this.#line.unreadable(command.id);
    }
  }

  #post(pending: Pending, command: ChatCommand): void {
    pending.posted = true;
    this.#line.ask(command);
  }
}
