// The kernel of a history, for tests to play.

import { vi } from "vitest";
import fixture from "../../../tests/fixtures/tables/history.json";
import type { HistoryMessage } from "./protocol.js";
import type { HistoryChannel } from "./session.js";

type On = Parameters<HistoryChannel["listen"]>[0];

/** The kernel's end of a channel, in the page. */
export class Kernel implements HistoryChannel {
  trait: unknown = fixture.snapshot;
  sent: HistoryMessage[] = [];
  kept: unknown[] = [];
  closed = false;
  readonly on = new Set<On>();

  snapshot(): unknown {
    return this.trait;
  }

  send(message: HistoryMessage): void {
    if (this.closed) throw new Error("comm is closed");
    this.sent.push(message);
  }

  keep(snapshot: unknown): void {
    this.kept.push(snapshot);
    this.trait = snapshot;
    // As a model does whose value was set.
    for (const on of this.on) on.snapshot();
  }

  listen(on: On, signal: AbortSignal): void {
    this.on.add(on);
    signal.addEventListener("abort", () => this.on.delete(on));
  }

  say(...messages: unknown[]): void {
    for (const message of messages) for (const on of [...this.on]) on.message(message);
    vi.advanceTimersByTime(300);
  }

  get queries(): (HistoryMessage & { type: "page" })[] {
    return this.sent.filter((message) => message.type === "page");
  }

  /** Answers the last question for a page as the kernel of the fixture did, but for these fields. */
  answer(changes: object = {}): void {
    const last = this.queries.at(-1);
    this.say({ ...fixture.page, ...changes, id: last?.id, query: last?.query });
  }
}
