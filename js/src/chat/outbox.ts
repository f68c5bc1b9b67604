// Questions of this page whose turns the kernel has not sent yet.

import { type DraftFile, upload } from "./attachments.js";
import type { Connection } from "./connection.js";
import type { Draft } from "./draft.js";
import type { ChatCommand, TurnState } from "./protocol.js";

interface Pending {
  turn: TurnState;
  /** Restored if the kernel refuses; null for a repeated question. */
  draft: Draft | null;
  posted: boolean;
  seen: boolean;
}

export class Outbox {
  readonly #connection: Connection;
  readonly #back: (draft: Draft) => void;
  readonly #pending = new Map<string, Pending>();

  /** `back` restores a refused question to the composer. */
  constructor(line: Connection, back: (draft: Draft) => void) {
    this.#connection = line;
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

  /** Sends a command that creates this turn, after its files. */
  add(turn: TurnState, draft: Draft | null, command: ChatCommand): void {
    const pending: Pending = { turn, draft, posted: false, seen: false };
    this.#pending.set(turn.id, pending);
    if (draft && draft.files.length > 0) void this.#postWithFiles(pending, draft.files, command);
    else this.#post(pending, command);
  }

  /** Records that the kernel has received a command. */
  seen(id: string): void {
    const pending = this.#pending.get(id);
    if (pending) pending.seen = true;
  }

  /** Removes questions whose turns the kernel has sent. */
  settle(turns: readonly TurnState[]): void {
    for (const { id } of turns) if (this.#pending.delete(id)) this.#connection.acknowledge(id);
  }

  /** Questions that the kernel has received; if it sends no turn for one, it was refused. */
  get acknowledged(): string[] {
    return [...this.#pending].flatMap(([id, { seen }]) => (seen ? [id] : []));
  }

  /** Restores a refused question. */
  giveBack(id: string): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    this.#connection.acknowledge(id);
    if (pending.draft) this.#back(pending.draft);
  }

  /** Restores all questions, or those that were not sent yet. */
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
        ) => this.#connection.send({ type: "upload", ...part }, [buffer]);
        await upload(file, send, wanted);
      }
      if (wanted()) this.#post(pending, command);
    } catch {
      // The file was changed or removed since it was chosen.
      if (wanted()) this.#connection.unreadable(command.id);
    }
  }

  #post(pending: Pending, command: ChatCommand): void {
    pending.posted = true;
    this.#connection.request(command);
  }
}
