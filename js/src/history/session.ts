// The history's session in the page: requested and received rows, and the opened run.

import { Keeper } from "../keeper.js";
import { isObject } from "../protocol.js";
import { type Channel, RunSession } from "../session.js";
import {
  type HistoryAnswer,
  type HistoryMessage,
  isHistoryAnswer,
  isHistoryState,
  type Listing,
  type Query,
} from "./protocol.js";

/** Channel to the kernel of a history. */
export type HistoryChannel = Pick<Channel, "snapshot" | "listen"> & {
  /** May throw, or lose the message silently: the kernel may be gone. */
  send(message: HistoryMessage): void;
  /** Store the list in the host's model, to be saved with the notebook, without sending it. */
  keep(snapshot: unknown): void;
};

/** The opened run; its session is null until the kernel has sent the run. */
export interface Opened {
  readonly key: string;
  readonly session: RunSession | null;
  /** Whether the run belongs to this kernel, which can stop it. */
  readonly live: boolean;
  readonly error: string | null;
}

const DEBOUNCE_MS = 250;
/** Time until the view reports a missing response; a busy kernel may still respond later. */
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
  /** The displayed rows. */
  listing: Listing = NOTHING;
  /** The requested query; `listing` follows. */
  query: Query = NOTHING.query;
  since: number | null = null;
  limit = 20;
  agents: string[] = [];
  /** Why the requested rows are not displayed. */
  error: string | null = null;
  opened: Opened | null = null;
  /** Whether the host reports the comm as closed. */
  gone = false;
  readonly #channel: HistoryChannel;
  readonly #listeners = new Set<() => void>();
  readonly #ending = new AbortController();
  readonly #keeper = new Keeper(() => this.#keep());
  readonly #name = `${Date.now().toString(36)}${Math.random().toString(36).slice(2)}`;
  #told = false;
  #asked: string | null = null;
  #askedFor: Query | null = null;
  /** Whether the kernel has started the query. */
  #looking = false;
  #number = 0;
  #askedAgents = false;
  #debounce: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #openSilence: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: HistoryChannel) {
    this.#channel = channel;
    this.#read();
    channel.listen(
      {
        message: (value) => this.#hear(value),
        snapshot: () => this.#read(),
        lost: (gone = true) => this.#lose(gone),
      },
      this.#ending.signal,
    );
  }

  /** Whether requested rows have not been received yet. */
  get asking(): boolean {
    return this.#asked !== null || this.#debounce !== undefined;
  }

  /** Whether a listing has been received. */
  get told(): boolean {
    return this.#told;
  }

  get filtered(): boolean {
    const { text, agent, status } = this.query;
    return Boolean(text.trim() || agent || status);
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Search after the user has stopped typing. */
  search(text: string): void {
    if (text === this.query.text) return;
    this.query = { ...this.query, text, offset: 0 };
    clearTimeout(this.#debounce);
    this.#debounce = setTimeout(() => this.#ask(), DEBOUNCE_MS);
    this.#notify();
  }

  /** Request other rows, from the first page unless `changes` has an offset. */
  ask(changes: Partial<Query>): void {
    this.query = { ...this.query, offset: 0, ...changes };
    this.#ask();
  }

  refresh(): void {
    this.#askedAgents = false;
    this.askAgents();
    this.ask({ offset: this.query.offset });
  }

  /** Request the agents for the filter, once. */
  askAgents(): void {
    if (this.#askedAgents || this.gone) return;
    this.#askedAgents = true;
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
    this.#ending.abort();
    this.#keeper.end();
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

  #ask(): void {
    clearTimeout(this.#debounce);
    this.#debounce = undefined;
    // One request at a time: others would only queue up behind it in a busy kernel.
    if (this.#asked === null || this.#looking) {
      this.#number += 1;
      this.#asked = `${this.#name}-${this.#number}`;
      this.#askedFor = this.query;
      this.#looking = false;
      clearTimeout(this.#silence);
      this.#silence = setTimeout(() => {
        this.#asked = null;
        this.error = NO_ANSWER;
        this.#notify();
      }, SILENT_MS);
      this.#send({ type: "page", id: this.#asked, query: this.query });
    }
    this.#notify();
  }

  #hear(value: unknown): void {
    if (isObject(value) && value.type === "run") return;
    // Messages of other versions are ignored; the request then times out.
    if (!isHistoryAnswer(value)) return;
    this.gone = false;
    if (value.type === "agents") this.agents = value.agents;
    else if (value.type === "looking") this.#look(value.id);
    else if (value.type === "opened") this.#hearOpened(value);
    else this.#hearPage(value);
    this.#notify();
  }

  #look(id: string): void {
    if (id !== this.#asked) return;
    // The query may take long now that it has started.
    clearTimeout(this.#silence);
    this.#looking = true;
    if (this.#debounce === undefined && this.query !== this.#askedFor) this.#ask();
  }

  #hearPage(answer: HistoryAnswer & { type: "page" }): void {
    // Late responses are accepted, except those to another page.
    if (!answer.id.startsWith(`${this.#name}-`)) return;
    if (this.#asked !== null && answer.id !== this.#asked) return;
    clearTimeout(this.#silence);
    this.#asked = null;
    this.#looking = false;
    this.#told = true;
    this.error = answer.error;
    if (answer.error === null) this.#take(answer);
    if (this.#debounce === undefined && this.query !== this.#askedFor) this.#ask();
  }

  #take({ query, rows, total, more, at }: Listing): void {
    this.listing = { query, rows, total, more, at };
    const { offset } = this.query;
    if (!rows.length && offset > 0 && query.offset === offset && offset >= total) {
      // Runs were deleted in the meantime.
      this.query = { ...this.query, offset: 0 };
      return;
    }
    this.#keeper.soon();
  }

  #hearOpened(answer: HistoryAnswer & { type: "opened" }): void {
    if (this.opened?.key !== answer.run || this.opened.session) return;
    clearTimeout(this.#openSilence);
    const { run: key, live, error } = answer;
    const session = answer.snapshot && new RunSession(this.#part(key, answer.snapshot));
    this.opened = { key, session, live, error };
  }

  /** Return the part of the channel that belongs to one run. */
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
    if (this.#told || this.#keeper.writing) return;
    const kept = this.#channel.snapshot();
    const state = isObject(kept) ? kept.history : null;
    if (!isHistoryState(state)) return;
    const { since, limit, query, rows, total, more, at } = state;
    this.#told = true;
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
      // A closed comm throws in some hosts; the request then times out.
    }
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
