// Questions that this page has asked and the kernel has not told of yet.

import { type DraftFile, upload } from "./attachments.js";
import type { Draft } from "./draft.js";
import type { Line } from "./line.js";
import type { ChatCommand, TurnState } from "./protocol.js";

interface Pending {
  turn: TurnState;
  /** What to give back should the kernel refuse; null for an answer made again. */
  draft: Draft | null;
  posted: boolean;
  seen: boolean;
}

export class Outbox {
  readonly #line: Line;
  readonly #back: (draft: Draft) => void;
  readonly #pending = new Map<string, Pending>();

  /** `back` takes a question that was not taken, to where it was written. */
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

  /** Sends a command that makes this turn, after the files that it names. */
  add(turn: TurnState, draft: Draft | null, command: ChatCommand): void {
    const pending: Pending = { turn, draft, posted: false, seen: false };
    this.#pending.set(turn.id, pending);
    if (draft && draft.files.length > 0) void this.#postWithFiles(pending, draft.files, command);
    else this.#post(pending, command);
  }

  /** Takes note that the kernel has seen a command, though not yet carried it out. */
  seen(id: string): void {
    const pending = this.#pending.get(id);
    if (pending) pending.seen = true;
  }

  /** Lets go of what the kernel tells of by now. */
  settle(turns: readonly TurnState[]): void {
    for (const { id } of turns) if (this.#pending.delete(id)) this.#line.seen(id);
  }

  /** The questions that the kernel has seen, and has not taken where it does not tell of them. */
  get heard(): string[] {
    return [...this.#pending].flatMap(([id, { seen }]) => (seen ? [id] : []));
  }

  /** Gives back a question that was not taken. */
  giveBack(id: string): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    this.#line.seen(id);
    if (pending.draft) this.#back(pending.draft);
  }

  /** Gives back what has not been sent yet, or all there is. */
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
      // The file changed or went away since it was chosen.
      if (wanted()) this.#line.unreadable(command.id);
    }
  }

  #post(pending: Pending, command: ChatCommand): void {
    pending.posted = true;
    this.#line.ask(command);
  }
}
