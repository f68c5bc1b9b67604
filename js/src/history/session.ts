// The history in the page: the query, its results, and the open run.

import { isObject } from "../guards.js";
import { type Channel, RunSession } from "../session.js";
import { SnapshotWriter } from "../snapshot-writer.js";
import {
  type HistoryAnswer,
  type HistoryMessage,
  isHistoryAnswer,
  isHistoryState,
  type Listing,
  type Query,
} from "./protocol.js";

/** The channel of a history. */
export type HistoryChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw or be lost silently if the kernel is gone. */
  send(message: HistoryMessage): void;
  /** Stores the list in the host's model, to be saved with the notebook, without sending it. */
  keep(snapshot: unknown): void;
};

/** An open run: its session once the kernel has sent its state. */
export interface Opened {
  readonly key: string;
  readonly session: RunSession | null;
  /** Whether it is a run of this kernel, which can be stopped. */
  readonly live: boolean;
  readonly error: string | null;
}

const DEBOUNCE_MS = 250;
/** Time after which a missing answer is reported; a late one is still used. */
const SILENT_MS = 5000;
const NO_ANSWER = "The kernel does not answer: it is busy, or it was restarted.";
const NOTHING: Listing = {
  query: { text: "", agent: "", status: "", order: "-started_at", offset: 0 },
  rows: [],
  total: 0,
  more: false,
  at: 0,
};

export class HistorySession {
  /** The displayed page. */
  listing: Listing = NOTHING;
  /** The requested query, which the displayed page follows. */
  query: Query = NOTHING.query;
  since: number | null = null;
  limit = 20;
  agents: string[] = [];
  /** Why the requested page is not displayed. */
  error: string | null = null;
  opened: Opened | null = null;
  /** Whether the host reports that the kernel is gone. */
  gone = false;
  readonly #channel: HistoryChannel;
  readonly #listeners = new Set<() => void>();
  readonly #aborter = new AbortController();
  readonly #writer = new SnapshotWriter(() => this.#keep());
  readonly #name = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  #hasState = false;
  #requestId: string | null = null;
  #requestedQuery: Query | null = null;
  /** Whether the kernel has started the query. */
  #looking = false;
  #number = 0;
  #hasRequestedAgents = false;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #openSilence: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: HistoryChannel) {
    this.#channel = channel;
    this.#read();
    channel.listen(
      {
        message: (value) => this.#receive(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#aborter.signal,
    );
  }

  /** Whether a requested page has not arrived yet. */
  get asking(): boolean {
    return this.#requestId !== null || this.#debounce !== undefined;
  }

  /** Whether the kernel has sent any state. */
  get hasState(): boolean {
    return this.#hasState;
  }

  get filtered(): boolean {
    const { text, agent, status } = this.query;
    return Boolean(text.trim() || agent || status);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Searches once the user has stopped typing. */
  search(text: string): void {
    if (text === this.query.text) return;
    this.query = { ...this.query, text, offset: 0 };
    clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => this.#request(), DEBOUNCE_MS);
    this.#notify();
  }

  /** Changes the query, and starts from its first page unless another offset is given. */
  ask(changes: Partial<Query>): void {
    this.query = { ...this.query, offset: 0, ...changes };
    this.#request();
  }

  refresh(): void {
    this.#hasRequestedAgents = false;
    this.askAgents();
    this.ask({ offset: this.query.offset });
  }

  /** Requests the names of the agents, once. */
  askAgents(): void {
    if (this.#hasRequestedAgents || this.gone) return;
    this.#hasRequestedAgents = true;
    this.#send({ type: "agents" });
  }

  open(key: string): void {
    if (this.opened?.key === key && this.opened.error === null) return;
    this.#shut();
    this.opened = { key, session: null, live: false, error: null };
    this.#send({ type: "open", run: key });
    this.#openSilence = setTimeout(() => {
      this.opened = { key, session: null, live: false, error: NO_ANSWER };
      this.#notify();
    }, SILENT_MS);
    this.#notify();
  }

  close(): void {
    if (!this.opened) return;
    this.#shut();
    this.#notify();
  }

  dispose(): void {
    this.#shut();
    this.#aborter.abort();
    this.#writer.flush();
    clearTimeout(this.#debounce);
    clearTimeout(this.#silence);
    this.#listeners.clear();
  }

  #shut(): void {
    clearTimeout(this.#openSilence);
    if (!this.opened) return;
    const { key, session } = this.opened;
    session?.dispose();
    this.opened = null;
    this.#send({ type: "close", run: key });
  }

  #request(): void {
    clearTimeout(this.#debounce);
    this.#debounce = undefined;
    // One query at a time: further ones would queue up in a busy kernel.
    if (this.#requestId === null || this.#looking) {
      this.#number += 1;
      this.#requestId = `${this.#name}-${this.#number}`;
      this.#requestedQuery = this.query;
      this.#looking = false;
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => {
        this.#requestId = null;
        this.error = NO_ANSWER;
        this.#notify();
      }, SILENT_MS);
      this.#send({ type: "page", id: this.#requestId, query: this.query });
    }
    this.#notify();
  }

  #receive(value: unknown): void {
    if (isObject(value) && value.type === "run") return;
    // Messages of another version are ignored, and reported as a missing answer.
    if (!isHistoryAnswer(value)) return;
    this.gone = false;
    if (value.type === "agents") this.agents = value.agents;
    else if (value.type === "looking") this.#look(value.id);
    else if (value.type === "opened") this.#receiveOpened(value);
    else this.#receivePage(value);
    this.#notify();
  }

  #look(id: string): void {
    if (id !== this.#requestId) return;
    // The kernel has started, however long it takes.
    clearTimeout(this.#silence);
    this.#looking = true;
    if (this.#debounce === undefined && this.query !== this.#requestedQuery) this.#request();
  }

  #receivePage(answer: HistoryAnswer & { type: "page" }): void {
    // Late answers count, except to queries of another page.
    if (!answer.id.startsWith(`${this.#name}-`)) return;
    if (this.#requestId !== null && answer.id !== this.#requestId) return;
    clearTimeout(this.#silence);
    this.#requestId = null;
    this.#looking = false;
    this.#hasState = true;
    this.error = answer.error;
    if (answer.error === null) this.#take(answer);
    if (this.#debounce === undefined && this.query !== this.#requestedQuery) this.#request();
  }

  #take({ query, rows, total, more, at }: Listing): void {
    this.listing = { query, rows, total, more, at };
    const { offset } = this.query;
    if (!rows.length && offset > 0 && query.offset === offset && offset >= total) {
      // Runs were deleted meanwhile.
      this.query = { ...this.query, offset: 0 };
      return;
    }
    this.#writer.writeSoon();
  }

  #receiveOpened(answer: HistoryAnswer & { type: "opened" }): void {
    if (this.opened?.key !== answer.run || this.opened.session) return;
    clearTimeout(this.#openSilence);
    const { run: key, live, error } = answer;
    const session = answer.snapshot && new RunSession(this.#part(key, answer.snapshot));
    this.opened = { key, session, live, error };
  }

  /** The part of the channel for one run. */
  #part(key: string, snapshot: unknown): Channel {
    const channel = this.#channel;
    return {
      snapshot: () => snapshot,
      send: (message) => channel.send({ type: "run", turn: key, message }),
      listen: (on, signal) => {
        const message = (value: unknown) => {
          if (isObject(value) && value.type === "run" && value.turn === key)
            on.message(value.message);
        };
        channel.listen({ message, snapshot: () => {}, lost: on.lost }, signal);
      },
    };
  }

  #read(): void {
    if (this.#hasState || this.#writer.writing) return;
    const kept = this.#channel.snapshot();
    const state = isObject(kept) ? kept.history : null;
    if (!isHistoryState(state)) return;
    const { since, limit, query, rows, total, more, at } = state;
    this.#hasState = true;
    this.since = since;
    this.limit = Math.max(1, limit);
    this.query = query;
    this.listing = { query, rows, total, more, at };
    this.#notify();
  }

  #keep(): void {
    const whole = this.#channel.snapshot() as { history?: object } | null;
    this.#channel.keep({ ...whole, history: { ...whole?.history, ...this.listing } });
  }

  #lose(gone: boolean): void {
    if (gone === this.gone) return;
    this.gone = gone;
    this.#notify();
  }

  #send(message: HistoryMessage): void {
    try {
      this.#channel.send(message);
    } catch {
      // A closed comm throws in some hosts; the missing answer is reported.
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
