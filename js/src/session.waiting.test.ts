import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Waiting } from "./protocol.js";
import { type Channel, RunSession } from "./session.js";
import { emptyRun } from "./transcript.js";

type On = Parameters<Channel["listen"]>[0];

const waiting: Waiting = { kind: "reconnect", attempt: 1, of: 5, seconds: 8, reason: "reset" };

let on: On;
let session: RunSession;
let trait: unknown;

const open = () =>
  new RunSession({
    snapshot: () => trait,
    send: () => {},
    listen: (listener) => {
      on = listener;
    },
  });
const say = (seq: number, set: object) =>
  on.message({ type: "ops", seq, ops: [{ op: "run", set }] });

beforeEach(() => {
  vi.useFakeTimers();
  trait = { seq: 0, run: { ...emptyRun(), status: "running" } };
  session = open();
});

afterEach(() => {
  session.dispose();
  vi.useRealTimers();
});

describe("what a run waits for", () => {
  test("comes nearer by the page's own clock, and never goes below nothing", () => {
    say(1, { waiting, elapsed: 20 });
    vi.advanceTimersByTime(3000);
    expect(session.waiting?.seconds).toBeCloseTo(5);
    expect(session.waiting?.reason).toBe("reset");
    vi.advanceTimersByTime(30_000);
    on.message({ type: "ack", of: "stop" });
    expect(session.waiting?.seconds).toBe(0);
  });

  test("is set right by the kernel's word", () => {
    say(1, { waiting, elapsed: 20 });
    vi.advanceTimersByTime(3000);
    say(2, { waiting: { ...waiting, seconds: 7 }, raw_events: 1, elapsed: 21 });
    expect(session.waiting?.seconds).toBeCloseTo(7);
  });

  test("is over with the next word that says so, and with the run", () => {
    say(1, { waiting, elapsed: 20 });
    say(2, { waiting: null, elapsed: 21 });
    expect(session.waiting).toBeNull();
    say(3, { waiting, elapsed: 22 });
    say(4, { status: "cancelled", elapsed: 23 });
    expect(session.waiting).toBeNull();
  });

  test("is not kept", () => {
    say(1, { waiting, elapsed: 20 });
    expect(session.snapshot.run.waiting).toBeNull();
    expect(session.waiting).not.toBeNull();
  });

  test("is not known once the kernel is gone, or says nothing more", () => {
    say(1, { waiting, elapsed: 20 });
    on.lost(true);
    expect(session.waiting).toBeNull();
    expect(session.run.waiting).toBeNull();
    expect(session.run.status).toBe("interrupted");
    on.lost(false);
    expect(session.waiting).not.toBeNull();
    vi.advanceTimersByTime(120_000);
    expect(session.silent).toBe(true);
    expect(session.waiting).toBeNull();
  });

  test("in a page that was opened anew, without a kernel, comes to an end", () => {
    session.dispose();
    trait = { seq: 4, run: { ...emptyRun(), status: "running", waiting, elapsed: 20 } };
    session = open();
    vi.advanceTimersByTime(60_000);
    expect(session.lost).toBe(true);
    expect(session.run.status).toBe("interrupted");
    expect(session.waiting).toBeNull();
  });
});
