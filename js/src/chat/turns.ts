// The runs of a chat's turns, which share the chat's channel.

import { isFinal, type PageMessage, type RunState } from "../protocol.js";
import { type Channel, RunSession } from "../session.js";
import { emptyRun } from "../transcript.js";
import { attemptOf } from "../view/waiting.js";
import type { TurnState } from "./protocol.js";

type Listener = Parameters<Channel["listen"]>[0];

/** A change of a run: its status or a retry, later content, or the state of a click on Stop. */
export type TurnChange = "status" | "late" | "stop";

interface Entry {
  turn: TurnState;
  /** When this page sent the question, until the kernel sends its turn. */
  pendingSince: number | null;
  session?: RunSession;
  on?: Listener;
  /** The last stored state of a finished run, reused while it does not change. */
  kept?: { of: TurnState; turn: TurnState };
}

export class TurnRuns {
  readonly #entries = new Map<string, Entry>();
  readonly #post: (turn: string, message: PageMessage) => void;
  readonly #changed: (change: TurnChange, turn: TurnState, run: RunState) => void;
  #lost = false;

  constructor(
    post: (turn: string, message: PageMessage) => void,
    changed: (change: TurnChange, turn: TurnState, run: RunState) => void,
  ) {
    this.#post = post;
    this.#changed = changed;
  }

  /** Adds a turn of the kernel; an unfinished run is followed from now on. */
  put(turn: TurnState): void {
    const { run } = turn;
    let entry = this.#entries.get(turn.id);
    if (!entry) {
      entry = { turn, pendingSince: null };
      this.#entries.set(turn.id, entry);
    } else if (entry.turn !== turn) {
      const other = entry.pendingSince === null && turn.generation !== entry.turn.generation;
      entry.turn = turn;
      entry.pendingSince = null;
      if (other) this.#close(entry);
      else entry.on?.snapshot();
    }
    if (!isFinal(run.run.status)) this.#open(entry);
  }

  /** Adds a question before the kernel has received it. */
  putPending(turn: TurnState): void {
    const entry: Entry = { turn, pendingSince: performance.now() };
    this.#entries.set(turn.id, entry);
    this.#open(entry);
  }

  /** Removes all turns but these. */
  retain(ids: ReadonlySet<string>): void {
    for (const [id, entry] of this.#entries) {
      if (ids.has(id)) continue;
      this.#close(entry);
      this.#entries.delete(id);
    }
  }

  /** Passes on the message in a turn's envelope; false if there is no such turn. */
  receive(id: string, message: unknown): boolean {
    const entry = this.#entries.get(id);
    if (!entry) return false;
    const seq = (message as { seq?: unknown } | null)?.seq;
    // A final state that is known already was requested to test the connection.
    const known = seq === entry.turn.run.seq && (message as { type?: unknown }).type === "snapshot";
    if (known && !entry.session && isFinal(entry.turn.run.run.status)) return true;
    this.#open(entry);
    entry.on?.message(message);
    return true;
  }

  /** The session of a turn's run. */
  source(id: string): RunSession | undefined {
    const entry = this.#entries.get(id);
    return entry && this.#open(entry);
  }

  /** Turns that can still change. */
  live(): string[] {
    const found: string[] = [];
    for (const [id, { session }] of this.#entries) if (session && !session.final) found.push(id);
    return found;
  }

  /** Those that do not wait for a decision. */
  going(): RunSession[] {
    const found: RunSession[] = [];
    for (const { session } of this.#entries.values())
      if (session && !session.final && session.run.status !== "paused") found.push(session);
    return found;
  }

  /** A turn with the current state of its run, to be stored. */
  kept(turn: TurnState): TurnState {
    const entry = this.#entries.get(turn.id);
    const session = entry?.session;
    if (!entry || !session) return turn;
    const { kept } = entry;
    if (kept?.of === turn && kept.turn.run.seq === session.seq) return kept.turn;
    const run = session.snapshot;
    const made = { ...turn, run };
    if (isFinal(run.run.status)) entry.kept = { of: turn, turn: made };
    return made;
  }

  /** Tells all runs whether the kernel is gone. */
  lose(gone: boolean): void {
    this.#lost = gone;
    for (const entry of this.#entries.values()) entry.on?.lost(gone);
  }

  dispose(): void {
    this.retain(new Set());
  }

  #open(entry: Entry): RunSession {
    if (entry.session) return entry.session;
    const session = new RunSession(this.#channel(entry));
    entry.session = session;
    let { status } = session.run;
    let { stopState, seq } = session;
    let attempt = attemptAt(session.run);
    session.subscribe(() => {
      const { run } = session;
      const tell = (change: TurnChange) => this.#changed(change, entry.turn, run);
      const tries = attemptAt(run);
      const turned = run.status !== status || (tries !== "" && tries !== attempt);
      const late = !turned && isFinal(status) && session.seq !== seq;
      const stopped = session.stopState !== stopState;
      ({ status } = run);
      attempt = tries;
      ({ stopState, seq } = session);
      if (turned) tell("status");
      else if (stopped) tell("stop");
      if (late) tell("late");
    });
    return session;
  }

  #close(entry: Entry): void {
    entry.session?.dispose();
    delete entry.session;
    delete entry.on;
    delete entry.kept;
  }

  #channel(entry: Entry): Channel {
    return {
      snapshot: () => entry.turn.run,
      send: (message) => {
        if (entry.pendingSince === null || message.type !== "resync") {
          this.#post(entry.turn.id, message);
          return;
        }
        // The kernel does not know this turn yet.
        const elapsed = (performance.now() - entry.pendingSince) / 1000;
        const run = { ...entry.turn.run.run, elapsed };
        entry.on?.message({ type: "snapshot", seq: 0, run });
      },
      listen: (on, signal) => {
        entry.on = on;
        signal.addEventListener("abort", () => {
          if (entry.on === on) delete entry.on;
        });
        if (this.#lost) on.lost(true);
      },
    };
  }
}

function attemptAt({ waiting }: RunState): string {
  return waiting === null ? "" : attemptOf(waiting);
}

/** A turn whose question the kernel has not received yet. */
export function pendingTurn(
  turn: Pick<TurnState, "id" | "parent" | "prompt" | "attachments" | "session_id">,
  names: { title: string; agent: string; platform: string },
): TurnState {
  const run: RunState = {
    ...emptyRun(),
    title: names.title,
    agent: names.agent,
    platform: names.platform,
    prompt: turn.prompt,
  };
  return { ...turn, note: null, generation: 0, run: { seq: 0, run } };
}
