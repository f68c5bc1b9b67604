// The kernel's end of a chat in the page: it keeps a chat and says what a test wants it to say.

import { afterEach, beforeEach, vi } from "vitest";
import type { Op, Part, RunState } from "../protocol.js";
import { emptyRun } from "../transcript.js";
import type { ChatChannel } from "./connection.js";
import type {
  ChatHead,
  ChatOp,
  ChatPageMessage,
  ChatSnapshot,
  ChatState,
  TurnState,
} from "./protocol.js";
import { ChatSession } from "./session.js";
import { ChatView } from "./view.js";

export const media = {
  reason: null,
  accept: ["image/*"],
  max_bytes: 1000,
  max_count: 2,
  alone: true,
};

export const head: ChatHead = {
  title: "finance_agent",
  agent: "finance_agent",
  platform: "operativus",
  session_id: "3f9c2a71-88d0-4c1e",
  status: "idle",
  media,
  shown: null,
  notice: null,
};

export const text = (value: string): Part => ({ kind: "text", text: value, text_more: 0 });

export function turn(id: string, parent: string | null, run: Partial<RunState> = {}): TurnState {
  const state = { ...emptyRun(), prompt: `question ${id}`, status: "completed" as const, ...run };
  return {
    id,
    parent,
    prompt: `question ${id}`,
    note: null,
    session_id: "s",
    generation: 0,
    attachments: [],
    run: { seq: 1, run: state },
  };
}

type Sent = ChatPageMessage & { id?: string };

export class Kernel implements ChatChannel {
  trait: unknown = {};
  heard: Sent[] = [];
  buffers: ArrayBuffer[][] = [];
  kept: ChatSnapshot[] = [];
  closed = false;
  chat: ChatState = { ...head, turns: [] };
  seq = 0;
  signal: AbortSignal | undefined;
  #on: Parameters<ChatChannel["listen"]>[0] | undefined;

  snapshot(): unknown {
    return this.trait;
  }

  send(message: ChatPageMessage, buffers?: ArrayBuffer[]): void {
    if (this.closed) throw new Error("comm is closed");
    this.heard.push(message);
    if (buffers) this.buffers.push(buffers);
  }

  keep(snapshot: unknown): void {
    this.kept.push(snapshot as ChatSnapshot);
    this.trait = snapshot;
    // As a model does whose value was set.
    this.#on?.snapshot();
  }

  listen(on: Parameters<ChatChannel["listen"]>[0], signal: AbortSignal): void {
    this.#on = on;
    this.signal = signal;
  }

  say(message: unknown): void {
    this.#on?.message(structuredClone(message));
  }

  lose(gone = true): void {
    this.#on?.lost(gone);
  }

  whole(): ChatSnapshot {
    return structuredClone({ seq: this.seq, chat: this.chat });
  }

  /** Says the whole chat. */
  tell(): void {
    this.say({ type: "snapshot", ...this.whole() });
  }

  ops(...ops: ChatOp[]): void {
    this.seq += 1;
    for (const op of ops) {
      if (op.op === "chat") Object.assign(this.chat, op.set);
      else this.chat.turns[op.index] = structuredClone(op.turn);
    }
    this.say({ type: "chat", seq: this.seq, ops });
  }

  /** Adds a turn and shows it. */
  add(made: TurnState): void {
    const index = this.chat.turns.length;
    this.ops({ op: "turn", index, turn: made }, { op: "chat", set: { shown: made.id } });
  }

  /** Begins the answer to the last question that was sent. */
  begin(): string {
    const sent = this.last("send") ?? this.last("again");
    const id = sent?.id ?? "";
    const parent = sent && "parent" in sent ? sent.parent : null;
    this.say({ type: "ack", id });
    this.add({ ...turn(id, parent, { status: "running" }), prompt: "asked" });
    return id;
  }

  run(id: string, ...ops: Op[]): void {
    const of = this.chat.turns.find((one) => one.id === id);
    if (!of) throw new Error(`there is no turn ${id}`);
    of.run.seq += 1;
    for (const op of ops) if (op.op === "run") Object.assign(of.run.run, op.set);
    this.say({ type: "run", turn: id, message: { type: "ops", seq: of.run.seq, ops } });
  }

  last<T extends Sent["type"]>(type: T): Extract<Sent, { type: T }> | undefined {
    return this.heard.findLast(
      (message): message is Extract<Sent, { type: T }> => message.type === type,
    );
  }

  count(type: Sent["type"]): number {
    return this.heard.filter((message) => message.type === type).length;
  }
}

export let kernel: Kernel;
export let session: ChatSession;
let views: ChatView[] = [];

/** Opens a chat that has these turns; the last is shown. */
export function follow(turns: TurnState[] = [], changes: Partial<ChatHead> = {}): ChatSession {
  kernel.chat = { ...head, shown: turns.at(-1)?.id ?? null, ...changes, turns };
  kernel.trait = kernel.whole();
  session = new ChatSession(kernel);
  return session;
}

/** The same, and a view of it. */
export function open(turns: TurnState[] = [], changes: Partial<ChatHead> = {}): ChatView {
  follow(turns, changes);
  return view();
}

/** One more view of the chat. */
export function view(): ChatView {
  const made = new ChatView(session);
  document.body.append(made.element);
  views.push(made);
  vi.advanceTimersByTime(20);
  return made;
}

/** What the first view has by this selector. */
export const find = <T extends Element = HTMLElement>(selector: string, of = views[0]): T => {
  const found = of?.element.querySelector<T>(selector);
  if (!found) throw new Error(`there is no ${selector}`);
  return found;
};

/** The button of this name in the first view; of several, the last. */
export const named = (name: string): HTMLButtonElement => {
  const all = [...(views[0]?.element.querySelectorAll("button") ?? [])];
  const label = (one: HTMLButtonElement) => one.getAttribute("aria-label") ?? one.textContent;
  const found = all.findLast((one) => label(one) === name && one.closest("[hidden]") === null);
  if (!found) throw new Error(`there is no button ${name}`);
  return found;
};

export const area = () => find<HTMLTextAreaElement>("textarea");

export function write(value: string): void {
  area().value = value;
  area().dispatchEvent(new InputEvent("input", { bubbles: true }));
}

export function press(
  key: string,
  init: KeyboardEventInit = {},
  at: Element = area(),
): KeyboardEvent {
  const event = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...init });
  at.dispatchEvent(event);
  return event;
}

/** The questions shown, in order. */
export const questions = (): string[] =>
  [...(views[0]?.element.querySelectorAll(".agentnb-chat-bubble") ?? [])].map(
    (bubble) => bubble.textContent ?? "",
  );

/** Gives every test of a file a kernel of its own, and a clock that stands still. */
export function eachWithItsOwn(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    kernel = new Kernel();
    views = [];
  });

  afterEach(() => {
    for (const made of views) made.dispose();
    session?.dispose();
    vi.useRealTimers();
    document.body.replaceChildren();
  });
}
