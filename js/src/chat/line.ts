// Connection to the kernel: commands awaiting acknowledgement, retries, loss of the kernel.

import { ACK_MS, Patience } from "../patience.js";
import type { ChatCommand, ChatPageMessage } from "./protocol.js";

/** Channel to the kernel, independent of the host. */
export interface ChatChannel {
  /** Return the complete chat in the host's model; any value before the kernel has set it. */
  snapshot(): unknown;
  /** May throw, or lose the message silently: the kernel may be gone. */
  send(message: ChatPageMessage, buffers?: ArrayBuffer[]): void;
  /** Store the chat in the host's model, to be saved with the notebook, without sending it. */
  keep(snapshot: unknown): void;
  /** Call back for every message, every new snapshot, and when the comm closes or reopens. */
  listen(
    on: { message(value: unknown): void; snapshot(): void; lost(gone?: boolean): void },
    signal: AbortSignal,
  ): void;
}

export interface LineUser {
  /** Send a request that the kernel always answers; for a full snapshot if commands are pending. */
  question(): void;
  /** Return whether a message from the kernel is expected. */
  due(): boolean;
  changed(): void;
  /** Called for a command that can't be sent because one of its files can't be read. */
  unreadable(command: string): void;
}

interface Waiting {
  command: ChatCommand;
  /** Whether a full snapshot was requested after this was sent. */
  asked: boolean;
  /** Whether this was sent twice. */
  again: boolean;
}

export class Line {
  /** True when the host reports the comm as closed. */
  gone = false;
  /** True when a command was not acknowledged in time: the kernel is busy. */
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

  /** True after several unanswered requests: the kernel is busy, gone or restarted. */
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
      // A closed comm throws in some hosts; the timers keep running and the view displays the problem.
    }
  }

  /** Send a command and start its acknowledgement timer. */
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

  /** Mark a command as acknowledged or abandoned. */
  seen(id: string): void {
    this.#waiting.delete(id);
    if (this.waits) return;
    clearTimeout(this.#ack);
    this.late = false;
  }

  /**
   * Resend lost commands that are wanted, once each; return the ids of the other lost ones.
   *
   * Call after a full snapshot. Messages arrive in order, so a command sent before the request for the
   * snapshot and still unacknowledged was lost, unless another page made the request.
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

  /** Poll after a missed or invalid message, within the rate limit. */
  gap(): void {
    if (this.#patience.takeGap()) this.question();
    else this.quiet();
  }

  heard(): void {
    this.#patience.heard();
  }

  /** Start the timer if a message is expected, with backoff. */
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
