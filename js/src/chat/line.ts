// The line to the kernel: what was asked for and not answered, and whether anybody is there.

import { ACK_MS, Patience } from "../patience.js";
import type { ChatCommand, ChatPageMessage } from "./protocol.js";

/** The way to the kernel, whatever host provides it. */
export interface ChatChannel {
  /** The whole chat as the host keeps it; anything at all before the kernel has written it. */
  snapshot(): unknown;
  /** May throw or be lost without a word: the kernel can be gone. */
  send(message: ChatPageMessage, buffers?: ArrayBuffer[]): void;
  /** Puts the chat into the host's model, to be saved with the notebook, and not sent. */
  keep(snapshot: unknown): void;
  /** Calls back for every message and every new snapshot, and when the kernel's end is gone. */
  listen(
    on: { message(value: unknown): void; snapshot(): void; lost(gone?: boolean): void },
    signal: AbortSignal,
  ): void;
}

export interface LineUser {
  /** Asks the kernel something that it answers in any case: for all, where commands wait. */
  question(): void;
  /** Tells whether a word of the kernel is due. */
  due(): boolean;
  changed(): void;
  /** A command can't be sent: a file that it names can't be read. */
  unreadable(command: string): void;
}

interface Waiting {
  command: ChatCommand;
  /** Whether the kernel was asked for all after this was sent. */
  asked: boolean;
  /** Whether this was sent twice. */
  again: boolean;
}

export class Line {
  /** True when the host says that the kernel is gone. */
  gone = false;
  /** True when something was not acknowledged in time: the kernel is busy. */
  late = false;
  readonly #channel: ChatChannel;
  readonly #user: LineUser;
  readonly #waiting = new Map<string, Waiting>();
  readonly #patience: Patience;
  #ack: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: ChatChannel, user: LineUser) {
    this.#channel = channel;
    this.#user = user;
    this.#patience = new Patience(() => {
      this.question();
      user.changed();
    });
  }

  /** True when several questions stayed unanswered: the kernel is busy, gone or begun anew. */
  get silent(): boolean {
    return this.#patience.over;
  }

  /** Whether commands have not been acknowledged yet. */
  get waits(): boolean {
    return this.#waiting.size > 0;
  }

  send(message: ChatPageMessage, buffers?: ArrayBuffer[]): void {
    try {
      this.#channel.send(message, buffers);
    } catch {
      // A closed comm throws in some hosts; the timers go on and the view says what is the matter.
    }
  }

  /** Sends a command, and notices when it isn't acknowledged. */
  ask(command: ChatCommand, again = false): void {
    this.#waiting.set(command.id, { command, asked: false, again });
    this.send(command);
    clearTimeout(this.#ack);
    this.#ack = setTimeout(() => {
      this.late = this.waits;
      this.#user.changed();
    }, ACK_MS);
    this.quiet();
  }

  /** Takes note that a command was seen, or is not waited for any more. */
  seen(id: string): void {
    this.#waiting.delete(id);
    if (this.waits) return;
    clearTimeout(this.#ack);
    this.late = false;
  }

  /**
   * Sends again, once, what is wanted and the kernel hasn't seen; returns the ids of what is lost.
   *
   * To be called when the kernel has told all. What is sent comes in order, so whatever was sent
   * before that was asked for and isn't acknowledged was lost, unless another page has asked.
   */
  settle(wanted: (id: string) => boolean): string[] {
    const lost: string[] = [];
    for (const [id, { command, asked, again }] of [...this.#waiting]) {
      if (!asked) continue;
      if (again || !wanted(id)) lost.push(id);
      else this.ask(command, true);
    }
    return lost;
  }

  unreadable(command: string): void {
    this.#user.unreadable(command);
  }

  question(): void {
    this.#patience.asked();
    this.#user.question();
    for (const one of this.#waiting.values()) one.asked = true;
    this.quiet();
  }

  /** Asks about something that was missed or not understood, unless that happens all the time. */
  gap(): void {
    if (this.#patience.takeGap()) this.question();
    else this.quiet();
  }

  heard(): void {
    this.#patience.heard();
  }

  /** Waits for the next word where one is due, ever longer. */
  quiet(): void {
    const due = this.#patience.asking || this.waits || this.#user.due();
    if (due && !this.gone) this.#patience.wait();
    else this.#patience.rest();
  }

  lose(gone: boolean): void {
    this.gone = gone;
    this.#patience.heard();
    this.late = false;
    this.#waiting.clear();
    this.end();
    if (!gone) this.question();
  }

  end(): void {
    clearTimeout(this.#ack);
    this.#patience.rest();
  }
}
