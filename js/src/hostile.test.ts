// What a kernel, or what stands in its place, may say to harm a page: every field of every message
// takes every kind of value, and the page goes on, asks a bounded number of times, and makes no
// element and no request of what it is told.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import compareFixture from "../../tests/fixtures/protocol/compare_two.json";
import historyFixture from "../../tests/fixtures/tables/history.json";
import monitorFixture from "../../tests/fixtures/tables/monitor.json";
import all from "./all.js";
import { head, turn } from "./chat/harness.js";
import type { RunState } from "./protocol.js";
import { emptyRun } from "./transcript.js";

const CANARY = '"><img src=//x.example/canary onerror=alert(1)><script>alert(2)</script>';
const VALUES: unknown[] = [
  ...[null, true, 0, -1, 2 ** 53, 1e308, Number.MAX_VALUE, -1e20, 1.5, "", CANARY],
  ...["javascript:alert(1)", "__proto__", "constructor", "\ud800\u0000\u202e", "x".repeat(5_000)],
  ...[[], {}, [null], [[[]]], JSON.parse('{"__proto__": {"polluted": 1}, "constructor": 1}')],
];

/** A widget's model, and the kernel behind it. */
class Model {
  heard: { type: string; message?: { type: string } }[] = [];
  readonly #on = new Map<string, Set<(value: unknown) => void>>();
  readonly #traits: Record<string, unknown>;

  constructor(kind: string, snapshot: unknown) {
    this.#traits = { kind, snapshot };
  }

  get(name: string): unknown {
    return this.#traits[name];
  }

  set(name: string, value: unknown): void {
    this.#traits[name] = value;
    this.#tell(`change:${name}`, value);
  }

  send(message: { type: string }): void {
    this.heard.push(message);
  }

  on(name: string, callback: (value: unknown) => void): void {
    const those = this.#on.get(name) ?? new Set();
    this.#on.set(name, those.add(callback));
  }

  off(name: string, callback: (value: unknown) => void): void {
    this.#on.get(name)?.delete(callback);
  }

  say(message: unknown): void {
    this.#tell("msg:custom", message);
  }

  asks(): number {
    const asked = ({ type, message }: { type: string; message?: { type: string } }) =>
      type === "resync" || message?.type === "resync";
    return this.heard.filter(asked).length;
  }

  #tell(name: string, value: unknown): void {
    for (const callback of [...(this.#on.get(name) ?? [])]) callback(value);
  }
}

const run: RunState = {
  ...emptyRun(),
  status: "running",
  run_id: "r",
  session_id: "s",
  usage: { input_tokens: 1, cost_usd: 0.1 },
  followups: ["And then?"],
  approvals: [
    {
      approval_id: "a",
      message: "May I?",
      tool: "t",
      arguments: "{}",
      key: "k",
      changed: true,
      answer_schema: '{"properties": {"a": {"title": "<img src=x>", "enum": ["<img src=x>"]}}}',
      expires_at: "2026-01-01T00:00:00Z",
    },
  ],
  error: { message: "no", code: "x" },
  waiting: { kind: "retry", attempt: 1, of: 2, seconds: 1, reason: "busy" },
  can_decide: true,
  parts: [
    { kind: "text", text: "Hello", text_more: 0 },
    {
      kind: "tool",
      call_id: "c",
      name: "look",
      arguments: "{}",
      arguments_more: 0,
      result: "[1]",
      result_more: 0,
      error: null,
      status: "completed",
      started: 0,
      finished: 1,
    },
  ],
};
const attachment = { name: "a.png", mime_type: "image/png", size: 3, preview: null };
const turns = [{ ...turn("t1", null, run), attachments: [attachment] }, turn("t2", "t1")];
const chat = { ...head, shown: "t2", notice: "look", turns };
const KINDS: Record<string, { trait: unknown; messages: unknown[] }> = {
  run: {
    trait: { seq: 0, run },
    messages: [
      { type: "ops", seq: 1, ops: [{ op: "run", set: { status: "paused", title: "x" } }] },
      { type: "ops", seq: 1, ops: [{ op: "part", index: 2, part: run.parts[1] }] },
      {
        type: "ops",
        seq: 1,
        ops: [{ op: "append", index: 0, field: "text", offset: 5, text: "x" }],
      },
      {
        type: "ops",
        seq: 1,
        ops: [{ op: "set", index: 1, set: { status: "failed", error: "x" } }],
      },
      { type: "snapshot", seq: 5, run },
      { type: "ack", of: "stop" },
      { type: "events", offset: 0, total: 1, events: [{ at: 0, type: "x", data: { a: [1] } }] },
      {
        type: "timeline",
        end: 2,
        total: 1,
        segments: [{ kind: "tool", label: "l", start: 0, end: 1, status: "s", detail: "d" }],
      },
    ],
  },
  chat: {
    trait: { seq: 0, chat },
    messages: [
      { type: "chat", seq: 1, ops: [{ op: "chat", set: { title: "x", shown: "t1" } }] },
      { type: "chat", seq: 1, ops: [{ op: "turn", index: 2, turn: turn("t3", "t2") }] },
      { type: "snapshot", seq: 5, chat },
      { type: "run", turn: "t1", message: { type: "snapshot", seq: 5, run } },
      { type: "refused", id: "i", message: "no" },
      { type: "ack", id: "i" },
    ],
  },
  compare: {
    trait: compareFixture.snapshot,
    messages: compareFixture.messages.slice(0, 3),
  },
  history: {
    trait: historyFixture.snapshot,
    messages: [
      historyFixture.looking,
      historyFixture.failed,
      historyFixture.agents,
      historyFixture.opened,
      historyFixture.page,
    ],
  },
  monitor: {
    trait: monitorFixture.snapshot,
    messages: [
      ...monitorFixture.messages.slice(0, 1),
      { ...monitorFixture.snapshot, type: "snapshot", seq: 5 },
      { type: "ack", run: "local:1", error: "no" },
    ],
  },
};

type Place = (string | number)[];

function* places(value: unknown, path: Place = []): Generator<Place> {
  if (path.length > 0) yield path;
  if (Array.isArray(value)) {
    for (let at = 0; at < Math.min(value.length, 2); at += 1)
      yield* places(value[at], [...path, at]);
  } else if (typeof value === "object" && value !== null) {
    for (const [name, inner] of Object.entries(value)) yield* places(inner, [...path, name]);
  }
}

/** At most so many places, spread over the whole. */
function some(value: unknown, most: number): Place[] {
  const found = [...places(value)];
  const stride = Math.ceil(found.length / most);
  return found.filter((_, at) => at % stride === 0);
}

function replaced(whole: unknown, path: Place, value: unknown): unknown {
  const made = structuredClone(whole);
  let inner = made as Record<string | number, unknown>;
  for (const name of path.slice(0, -1)) inner = inner[name] as typeof inner;
  inner[path.at(-1) ?? ""] = value;
  return made;
}

let undo: (() => void)[] = [];

function open(kind: string, trait: unknown): Model {
  const model = new Model(kind, structuredClone(trait));
  const el = document.createElement("div");
  document.body.append(el);
  const made = all();
  const controller = new AbortController();
  const props = { model, el, signal: controller.signal, experimental: {} };
  made.initialize(props as never);
  made.render(props as never);
  undo.push(() => {
    controller.abort();
    el.remove();
  });
  return model;
}

function close(): void {
  for (const one of undo) one();
  undo = [];
}

/** Nothing of what was told is an element, and nothing that is shown asks the network. */
function check(): void {
  for (const element of document.body.querySelectorAll(
    "script, img, iframe, object, embed, link, form, base",
  ))
    expect.fail(element.outerHTML);
  for (const link of document.body.querySelectorAll<HTMLAnchorElement>("a[href]"))
    expect(link.protocol).toMatch(/^(https?|mailto):$/);
  for (const element of document.body.querySelectorAll("*"))
    for (const { name } of element.attributes) expect(name).not.toMatch(/^on/);
}

vi.setConfig({ testTimeout: 30_000 });

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  close();
  vi.useRealTimers();
});

describe.each(Object.entries(KINDS))("%s", (kind, { trait, messages }) => {
  test("a trait with any field replaced is shown or refused", () => {
    let at = 0;
    for (const path of some(trait, 50)) {
      const values = [VALUES[at % VALUES.length], at % 2 ? CANARY : Number.MAX_VALUE];
      for (const value of values) {
        open(kind, replaced(trait, path, value));
        vi.advanceTimersByTime(50);
        check();
        close();
      }
      at += 1;
    }
  });

  test("a message with any field replaced is taken or asked about, a bounded number of times", () => {
    const model = open(kind, trait);
    let at = 0;
    for (const message of messages) {
      for (const path of some(message, 30)) {
        for (let step = 0; step < 4; step += 1) {
          model.say(replaced(message, path, VALUES[(at * 5 + step * 7) % VALUES.length]));
        }
        at += 1;
        vi.advanceTimersByTime(20);
        check();
      }
    }
    expect({}).not.toHaveProperty("polluted");
    expect(model.asks()).toBeLessThan(60);
  });

  test("nonsense after each answer is asked about a bounded number of times", () => {
    const model = open(kind, trait);
    const whole = { ...(trait as object), type: "snapshot" };
    for (let seq = 1; seq < 500; seq += 1) {
      model.say({ ...whole, seq: 2 * seq });
      model.say({ type: "ops", seq: 2 * seq + 5, ops: [] });
      model.say({ type: "run", turn: `t${seq}`, message: null });
      model.say({ type: "changes", seq: 9 * seq });
    }
    expect(model.asks()).toBeLessThan(20);
  });
});
