import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { PageMessage, RunState } from "./protocol.js";
import { type Channel, RunSession } from "./session.js";
import { emptyRun } from "./transcript.js";

/** The kernel's end of a channel, in the page. */
class Kernel implements Channel {
  trait: unknown = {};
  heard: PageMessage[] = [];
  closed = false;
  #message: (value: unknown) => void = () => {};
  #changed: () => void = () => {};
  signal: AbortSignal | undefined;

  snapshot(): unknown {
    return this.trait;
  }

  send(message: PageMessage): void {
    if (this.closed) throw new Error("comm is closed");
    this.heard.push(message);
  }

  listen(on: { message(value: unknown): void; snapshot(): void }, signal: AbortSignal): void {
    this.#message = on.message;
    this.#changed = on.snapshot;
    this.signal = signal;
  }

  say(message: unknown): void {
    this.#message(message);
  }

  write(seq: number, run: Partial<RunState>): void {
    this.trait = { seq, run: { ...emptyRun(), ...run } };
    this.#changed();
  }
}

let kernel: Kernel;

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new Kernel();
});

afterEach(() => {
  vi.useRealTimers();
});

const running = { seq: 0, run: { ...emptyRun(), status: "running", elapsed: 2 } };
const resyncs = () => kernel.heard.filter((message) => message.type === "resync");

describe("at the start", () => {
  test("a run that goes on is asked for", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    expect(kernel.heard).toEqual([{ type: "resync", seq: 0 }]);
    expect(session.run.status).toBe("running");
    session.dispose();
  });

  test("so is one of which nothing is known", () => {
    const session = new RunSession(kernel);
    expect(kernel.heard).toHaveLength(1);
    expect(session.run.status).toBe("queued");
    session.dispose();
  });

  test("one that is over is not, and starts no timer", () => {
    kernel.trait = { seq: 9, run: { ...emptyRun(), status: "completed" } };
    const session = new RunSession(kernel);
    expect(kernel.heard).toEqual([]);
    expect(vi.getTimerCount()).toBe(0);
    session.dispose();
  });
});

describe("healing", () => {
  test("a gap is asked about once, and the answer mends it", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    kernel.say({ type: "ops", seq: 2, ops: [] });
    kernel.say({ type: "ops", seq: 3, ops: [] });
    expect(resyncs().slice(1)).toEqual([{ type: "resync", seq: 0 }]);
    kernel.say({ type: "snapshot", seq: 3, run: { ...emptyRun(), status: "running", title: "a" } });
    kernel.say({ type: "ops", seq: 4, ops: [{ op: "run", set: { model: "m" } }] });
    expect(session.run).toMatchObject({ title: "a", model: "m" });
    session.dispose();
  });

  test("an offset that doesn't fit is a gap", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    kernel.say({
      type: "ops",
      seq: 1,
      ops: [{ op: "append", index: 0, field: "text", offset: 4, text: "x" }],
    });
    expect(resyncs()).toHaveLength(2);
    session.dispose();
  });

  test("a message that isn't understood is a gap", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    kernel.say({ type: "ops", seq: 1, ops: [{ op: "explode" }] });
    expect(resyncs()).toHaveLength(2);
    session.dispose();
  });

  test("four seconds without a word are asked about, then ever less often", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    kernel.say({ type: "snapshot", ...running });
    vi.advanceTimersByTime(3999);
    expect(resyncs()).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(resyncs()).toHaveLength(2);
    vi.advanceTimersByTime(4000);
    expect(resyncs()).toHaveLength(3);
    vi.advanceTimersByTime(7999);
    expect(resyncs()).toHaveLength(3);
    vi.advanceTimersByTime(1);
    expect(resyncs()).toHaveLength(4);
    vi.advanceTimersByTime(600_000);
    expect(resyncs().length).toBeLessThan(20);
    session.dispose();
  });

  test("words keep the timer away", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    for (let seq = 1; seq < 10; seq += 1) {
      vi.advanceTimersByTime(3000);
      kernel.say({ type: "ops", seq, ops: [] });
    }
    expect(resyncs()).toHaveLength(1);
    session.dispose();
  });

  test("a kernel that never answers is called silent, until it does", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    expect(session.silent).toBe(false);
    vi.advanceTimersByTime(20_000);
    expect(session.silent).toBe(true);
    kernel.say({ type: "snapshot", ...running });
    expect(session.silent).toBe(false);
    session.dispose();
  });

  test("a closed channel does no harm", () => {
    kernel.trait = running;
    kernel.closed = true;
    const session = new RunSession(kernel);
    session.stop();
    vi.advanceTimersByTime(60_000);
    expect(session.silent).toBe(true);
    session.dispose();
  });

  test("the final trait is taken, and ends all timers", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    session.stop();
    kernel.write(12, { status: "completed", duration: 3 });
    expect(session.final).toBe(true);
    vi.advanceTimersByTime(1000);
    expect(vi.getTimerCount()).toBe(0);
    expect(kernel.heard.filter((message) => message.type === "resync")).toHaveLength(1);
    session.dispose();
  });

  test("an older trait is not", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    kernel.say({
      type: "snapshot",
      seq: 5,
      run: { ...emptyRun(), status: "running", title: "new" },
    });
    kernel.write(3, { title: "old" });
    expect(session.run.title).toBe("new");
    session.dispose();
  });
});

describe("stopping", () => {
  test("the click goes out at once and once", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    session.stop();
    session.stop();
    expect(kernel.heard.filter((message) => message.type === "stop")).toHaveLength(1);
    expect(session.stopState).toBe("sent");
    kernel.say({ type: "ack", of: "stop" });
    vi.advanceTimersByTime(5000);
    expect(session.stopState).toBe("seen");
    session.dispose();
  });

  test("without an answer for a second the kernel is busy, and the click may be repeated", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    session.stop();
    vi.advanceTimersByTime(999);
    expect(session.stopState).toBe("sent");
    vi.advanceTimersByTime(1);
    expect(session.stopState).toBe("unanswered");
    session.stop();
    expect(kernel.heard.filter((message) => message.type === "stop")).toHaveLength(2);
    kernel.say({ type: "ack", of: "stop" });
    expect(session.stopState).toBe("seen");
    session.dispose();
  });

  test("a run that is over can't be stopped", () => {
    kernel.trait = { seq: 9, run: { ...emptyRun(), status: "failed" } };
    const session = new RunSession(kernel);
    session.stop();
    expect(kernel.heard).toEqual([]);
    session.dispose();
  });
});

describe("listeners", () => {
  test("are called once for what comes together", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    const listener = vi.fn();
    const leave = session.subscribe(listener);
    for (let seq = 1; seq <= 5; seq += 1) kernel.say({ type: "ops", seq, ops: [] });
    expect(listener).not.toHaveBeenCalled();
    vi.advanceTimersByTime(300);
    expect(listener).toHaveBeenCalledTimes(1);
    leave();
    kernel.say({ type: "ops", seq: 6, ops: [] });
    vi.advanceTimersByTime(300);
    expect(listener).toHaveBeenCalledTimes(1);
    session.dispose();
  });

  test("are called in a hidden tab too, which has no animation frames", () => {
    vi.stubGlobal("requestAnimationFrame", () => 1);
    kernel.trait = running;
    const session = new RunSession(kernel);
    const listener = vi.fn();
    session.subscribe(listener);
    kernel.say({ type: "ops", seq: 1, ops: [] });
    vi.advanceTimersByTime(300);
    expect(listener).toHaveBeenCalledTimes(1);
    session.dispose();
  });

  test("disposing ends everything", () => {
    kernel.trait = running;
    const session = new RunSession(kernel);
    const listener = vi.fn();
    session.subscribe(listener);
    kernel.say({ type: "ops", seq: 1, ops: [] });
    session.stop();
    session.dispose();
    expect(kernel.signal?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(listener).not.toHaveBeenCalled();
  });
});

test("time goes on by the page's clock, and stands still at the end", () => {
  kernel.trait = running;
  const session = new RunSession(kernel);
  vi.advanceTimersByTime(1500);
  expect(session.elapsed).toBeCloseTo(3.5, 3);
  kernel.say({ type: "ops", seq: 1, ops: [{ op: "run", set: { elapsed: 10 } }] });
  expect(session.elapsed).toBeCloseTo(10, 3);
  kernel.say({
    type: "ops",
    seq: 2,
    ops: [{ op: "run", set: { status: "completed", duration: 10.4 } }],
  });
  vi.advanceTimersByTime(5000);
  expect(session.elapsed).toBe(10.4);
  session.dispose();
});
