// The connection to the kernel: unacknowledged commands, and whether the kernel responds.

import { ACK_MS, IdleTimer } from "../idle-timer.js";
import type { ChatCommand, ChatPageMessage } from "./protocol.js";

/** The channel to the kernel, whatever host provides it. */
export interface ChatChannel {
  /** The whole chat as the host stores it; any value before the kernel has written it. */
  snapshot(): unknown;
  /** May throw or be lost silently if the kernel is gone. */
  send(message: ChatPageMessage, buffers?: ArrayBuffer[]): void;
  /** Stores the chat in the host's model, to be saved with the notebook, without sending it. */
  keep(snapshot: unknown): void;
  /** Calls back for messages, new snapshots, and the loss of the kernel. */
  listen(
    on: { message(value: unknown): void; snapshot(): void; lost(gone?: boolean): void },
    signal: AbortSignal,
  ): void;
}

export interface ConnectionOwner {
  /** Sends a message that the kernel always answers; the whole state, if commands wait. */
  poll(): void;
  /** Returns whether a message of the kernel is due. */
  isAnswerDue(): boolean;
  changed(): void;
  /** A command cannot be sent, since one of its files cannot be read. */
  unreadable(command: string): void;
}

interface PendingCommand {
  command: ChatCommand;
  /** Whether the whole state was requested after this was sent. */
  polled: boolean;
  /** Whether this was sent twice. */
  again: boolean;
}

export class Connection {
  /** Whether the host reports that the kernel is gone. */
  gone = false;
  /** Whether a command was not acknowledged in time: the kernel is busy. */
  late = false;
  readonly #channel: ChatChannel;
  readonly #owner: ConnectionOwner;
  readonly #waiting = new Map<string, PendingCommand>();
  readonly #idle: IdleTimer;
  #ack: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: ChatChannel, owner: ConnectionOwner) {
    this.#channel = channel;
    this.#owner = owner;
    this.#idle = new IdleTimer(() => {
      this.poll();
      owner.changed();
    });
  }

  /** Whether several messages were not answered: the kernel is busy, gone or restarted. */
  get silent(): boolean {
    return this.#idle.isSilent;
  }

  /** Whether commands are not acknowledged yet. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  send(message: ChatPageMessage, buffers?: ArrayBuffer[]): void {
    try {
      this.#channel.send(message, buffers);
    } catch {
      // A closed comm throws in some hosts; the timers go on and the view reports it.
    }
  }

  /** Sends a command, and reports if it is not acknowledged in time. */
  request(command: ChatCommand, again = false): void {
    this.#waiting.set(command.id, { command, polled: false, again });
    this.send(command);
    clearTimeout(this.#ack);
    this.#ack = setTimeout(() => {
      this.late = this.isWaiting;
      this.#owner.changed();
    }, ACK_MS);
    this.restartTimer();
  }

  /** Records that a command was acknowledged, or is no longer waited for. */
  acknowledge(id: string): void {
    this.#waiting.delete(id);
    if (this.isWaiting) return;
    clearTimeout(this.#ack);
    this.late = false;
  }

  /**
   * Sends lost commands again, once, if still wanted; returns the ids of the others.
   *
   * Called when the kernel has sent the whole state. Messages arrive in order, so a command sent
   * before the request for it and not acknowledged was lost, unless another page requested it.
   */
  settle(wanted: (id: string) => boolean): string[] {
    const lost: string[] = [];
    for (const [id, { command, polled, again }] of [...this.#waiting]) {
      if (!polled) continue;
      if (again || !wanted(id)) lost.push(id);
      else this.request(command, true);
    }
    return lost;
  }

  unreadable(command: string): void {
    this.#owner.unreadable(command);
  }

  poll(): void {
    this.#idle.sent();
    this.#owner.poll();
    for (const one of this.#waiting.values()) one.polled = true;
    this.restartTimer();
  }

  /** Requests the whole state after a gap, unless there are too many. */
  gap(): void {
    if (this.#idle.takeResync()) this.poll();
    else this.restartTimer();
  }

  answered(): void {
    this.#idle.answered();
  }

  /** Restarts the idle timer if a message is due. */
  restartTimer(): void {
    const isDue = this.#idle.isWaiting || this.isWaiting || this.#owner.isAnswerDue();
    if (isDue && !this.gone) this.#idle.restart();
    else this.#idle.stop();
  }

  lose(gone: boolean): void {
    this.gone = gone;
    this.#idle.answered();
    this.late = false;
    this.#waiting.clear();
    this.end();
    if (!gone) this.poll();
  }

  end(): void {
    clearTimeout(this.#ack);
    this.#idle.stop();
  }
}
