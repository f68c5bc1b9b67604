// What a run's page asks of the kernel: decisions and events; and what it shows once that is gone.

import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { SilentKernelError } from "./pending-requests.js";
import type { EventsPage, PageMessage, RunState, TimelinePage } from "./protocol.js";
import { type Channel, RunSession } from "./session.js";
import { emptyRun } from "./transcript.js";

type Listener = Parameters<Channel["listen"]>[0];

/** The kernel's end of a channel, in the page. */
class Kernel implements Channel {
  heard: PageMessage[] = [];
  on: Listener | undefined;

  constructor(readonly trait: unknown) {}

  snapshot(): unknown {
    return this.trait;
  }

  send(message: PageMessage): void {
    this.heard.push(message);
  }

  listen(on: Listener): void {
    this.on = on;
  }

  say(message: unknown): void {
    this.on?.message(message);
  }

  sent(type: PageMessage["type"]): PageMessage[] {
    return this.heard.filter((message) => message.type === type);
  }
}

let kernel: Kernel;
let session: RunSession;

function begin(run: Partial<RunState>): void {
  kernel = new Kernel({ seq: 0, run: { ...emptyRun(), elapsed: 2, ...run } });
  session = new RunSession(kernel);
}

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  session.dispose();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

const ops = (seq: number, set: Partial<RunState>) => ({
  type: "ops",
  seq,
  ops: [{ op: "run", set }],
});

describe("deciding", () => {
  const paused: Partial<RunState> = {
    status: "paused",
    can_decide: true,
    approvals: [{ approval_id: "a", message: "m", tool: null, arguments: "" }],
  };

  test("goes out at once and once, and ends when it shows in the run", () => {
    begin(paused);
    session.decide("a", true);
    session.decide("a", false);
    expect(kernel.sent("decide")).toEqual([{ type: "decide", approval_id: "a", approved: true }]);
    expect(session.decideState).toBe("sent");
    kernel.say({ type: "ack", of: "decide" });
    expect(session.decideState).toBe("seen");
    session.decide("a", false);
    expect(kernel.sent("decide")).toHaveLength(1);
    kernel.say(ops(1, { status: "running", approvals: [] }));
    expect(session.decideState).toBe("none");
  });

  test("may be repeated when the kernel is busy, or when nothing came of it", () => {
    begin(paused);
    session.decide(null, false);
    vi.advanceTimersByTime(1000);
    expect(session.decideState).toBe("unanswered");
    session.decide(null, false);
    expect(kernel.sent("decide")).toHaveLength(2);
    kernel.say({ type: "ack", of: "decide" });
    for (let i = 0; i < 4; i += 1) {
      vi.advanceTimersByTime(2500);
      kernel.say({ type: "events", offset: 0, total: 0, events: [] });
    }
    expect(session.decideState).toBe("none");
  });

  test("names the very approval that is displayed", () => {
    begin(paused);
    session.decide("a", true, "k");
    expect(kernel.sent("decide")).toEqual([
      { type: "decide", approval_id: "a", key: "k", approved: true },
    ]);
  });

  test("sends an answer with an approval, as JSON", () => {
    begin(paused);
    session.decide("a", true, "k", '{"amount": 12345678901234567890}');
    expect(kernel.sent("decide")).toEqual([
      {
        type: "decide",
        approval_id: "a",
        key: "k",
        approved: true,
        payload: '{"amount": 12345678901234567890}',
      },
    ]);
  });

  test("is nothing to Stop, nor Stop to it", () => {
    begin(paused);
    session.stop();
    kernel.say({ type: "ack", of: "decide" });
    expect([session.stopState, session.decideState]).toEqual(["sent", "none"]);
    kernel.say({ type: "ack", of: "stop" });
    expect([session.stopState, session.decideState]).toEqual(["seen", "none"]);
  });

  test("is not for a view that may not, nor for a run that is over", () => {
    begin({ ...paused, can_decide: false });
    session.decide("a", true);
    expect(kernel.sent("decide")).toEqual([]);
    session.dispose();
    begin({ ...paused, status: "cancelled" });
    session.decide("a", true);
    expect(kernel.heard).toEqual([]);
  });
});

describe("events", () => {
  const page = (offset: number): EventsPage => ({
    offset,
    total: 9,
    events: [{ at: 1, type: "text_delta", text: "a" }],
  });

  test("are asked for once by all who want the same, and answered by their number", async () => {
    begin({ status: "completed" });
    const asked = [session.events(0), session.events(0), session.events(3)];
    expect(kernel.heard).toEqual([
      { type: "events", offset: 0 },
      { type: "events", offset: 3 },
    ]);
    kernel.say({ type: "events", ...page(3) });
    kernel.say({ type: "events", ...page(5) });
    kernel.say({ type: "events", ...page(0) });
    const offsets = (await Promise.all(asked)).map(({ offset }) => offset);
    expect(offsets).toEqual([0, 0, 3]);
  });

  test("a kernel that is silent is given up on, and can be asked again", async () => {
    begin({ status: "completed" });
    const asked = session.events(0);
    const outcome = expect(asked).rejects.toBeInstanceOf(SilentKernelError);
    await vi.advanceTimersByTimeAsync(5000);
    await outcome;
    const again = session.events(0);
    kernel.say({ type: "events", ...page(0) });
    expect((await again).total).toBe(9);
  });

  test("a kernel that is gone is not waited for", async () => {
    begin({ status: "completed" });
    kernel.on?.lost();
    await expect(session.events(0)).rejects.toBeInstanceOf(SilentKernelError);
    expect(kernel.heard).toEqual([]);
  });

  test("closing ends the wait", async () => {
    begin({ status: "completed" });
    const outcome = expect(session.events(0)).rejects.toBeInstanceOf(SilentKernelError);
    session.dispose();
    await outcome;
  });
});

describe("the timeline", () => {
  const page: TimelinePage = { end: 2, total: 0, segments: [] };

  test("is asked for once, and can be asked for again after the answer", async () => {
    begin({ status: "completed" });
    const asked = [session.timeline(), session.timeline()];
    expect(kernel.heard).toEqual([{ type: "timeline" }]);
    kernel.say({ type: "timeline", ...page });
    expect((await Promise.all(asked)).map(({ end }) => end)).toEqual([2, 2]);
    const again = session.timeline();
    kernel.say({ type: "timeline", ...page, end: 3 });
    expect((await again).end).toBe(3);
    expect(kernel.sent("timeline")).toHaveLength(2);
  });

  test("of a silent kernel is given up on", async () => {
    begin({ status: "completed" });
    const outcome = expect(session.timeline()).rejects.toBeInstanceOf(SilentKernelError);
    await vi.advanceTimersByTimeAsync(5000);
    await outcome;
  });
});

describe("a kernel that is gone", () => {
  const live: Partial<RunState> = {
    status: "running",
    parts: [
      { kind: "text", text: "half", text_more: 0 },
      {
        kind: "tool",
        call_id: "c",
        name: "n",
        arguments: "",
        arguments_more: 0,
        result: "",
        result_more: 0,
        error: null,
        status: "running",
        started: 1,
        finished: null,
      },
    ],
  };

  test("leaves the run interrupted, with all that arrived, when the host says so", () => {
    begin(live);
    const listener = vi.fn();
    session.subscribe(listener);
    kernel.on?.lost();
    vi.advanceTimersByTime(300);
    expect(listener).toHaveBeenCalled();
    expect([session.lost, session.final]).toEqual([true, true]);
    expect(session.run.status).toBe("interrupted");
    expect(session.run.parts).toMatchObject([{ text: "half" }, { status: "abandoned" }]);
    expect(session.elapsed).toBe(2);
    session.stop();
    expect(kernel.sent("stop")).toEqual([]);
  });

  test("that is there again is asked, and its word counts", () => {
    begin(live);
    kernel.on?.lost();
    const before = kernel.sent("resync").length;
    kernel.on?.lost(false);
    expect(kernel.sent("resync")).toHaveLength(before + 1);
    expect(session.run.status).toBe("running");
    kernel.on?.lost();
    kernel.say(ops(1, { status: "completed", duration: 4 }));
    expect([session.lost, session.run.status]).toEqual([false, "completed"]);
    expect(session.run.parts).toMatchObject([{ text: "half" }, { status: "running" }]);
  });

  test("and never was heard of ends in the same state, with the hint that it is silent", () => {
    begin(live);
    vi.advanceTimersByTime(20_000);
    expect([session.silent, session.lost, session.run.status]).toEqual([true, true, "interrupted"]);
    kernel.say({ type: "snapshot", seq: 3, run: { ...emptyRun(), status: "running" } });
    expect([session.silent, session.lost, session.run.status]).toEqual([false, false, "running"]);
  });

  test("may be busy where it was heard of before", () => {
    begin(live);
    kernel.say(ops(1, { elapsed: 3 }));
    vi.advanceTimersByTime(60_000);
    expect([session.silent, session.lost, session.run.status]).toEqual([true, false, "running"]);
  });

  test("changes nothing for a run that is over", () => {
    begin({ status: "completed", duration: 1 });
    kernel.on?.lost();
    expect([session.lost, session.run.status]).toEqual([false, "completed"]);
  });
});
