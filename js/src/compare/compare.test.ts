import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import fixture from "../../../tests/fixtures/protocol/compare_two.json";
import { emptyRun } from "../transcript.js";
import { figures } from "./figures.js";
import { type CompareMessage, CompareSession, CompareView, type RunsChannel } from "./index.js";

type On = Parameters<RunsChannel["listen"]>[0];

/** The kernel's end of a channel, in the page. */
class Kernel implements RunsChannel {
  trait: unknown = fixture.snapshot;
  heard: CompareMessage[] = [];
  kept: unknown[] = [];
  closed = false;
  readonly on = new Set<On>();

  snapshot(): unknown {
    return this.trait;
  }

  send(message: CompareMessage): void {
    if (this.closed) throw new Error("comm is closed");
    this.heard.push(message);
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
    for (const message of messages) for (const on of this.on) on.message(message);
    vi.advanceTimersByTime(300);
  }

  write(trait: unknown): void {
    this.trait = trait;
    for (const on of this.on) on.snapshot();
    vi.advanceTimersByTime(300);
  }
}

let kernel: Kernel;
let session: CompareSession;
let view: CompareView;

function open(): void {
  session = new CompareSession(kernel);
  view = new CompareView(session);
  document.body.append(view.element);
}

const all = (selector: string) => [...view.element.querySelectorAll<HTMLElement>(selector)];
const rows = () =>
  all(".agentnb-compare-table tbody tr").map((tr) =>
    [...tr.children].map((cell) => cell.textContent ?? ""),
  );
const stopAll = () => all(".agentnb-compare-head button")[0] as HTMLButtonElement;
const stops = () => kernel.heard.filter((m) => m.type === "stop" || m.message.type === "stop");
const started = fixture.messages.slice(0, 1);

beforeEach(() => {
  vi.useFakeTimers();
  kernel = new Kernel();
  open();
});

afterEach(() => {
  view.dispose();
  session.dispose();
  vi.useRealTimers();
  document.body.replaceChildren();
});

describe("the session", () => {
  test("asks for each run that goes on, in its envelope", () => {
    expect(kernel.heard).toEqual([
      { type: "run", turn: "r0", message: { type: "resync", seq: 0 } },
      { type: "run", turn: "r1", message: { type: "resync", seq: 0 } },
    ]);
  });

  test("comes to the kernel's state by messages", () => {
    kernel.say(...fixture.messages);
    expect(session.runs.map((each) => each.session.run)).toEqual(
      fixture.final.compare.runs.map((each) => each.run.run),
    );
    expect(session.final).toBe(true);
  });

  test("comes to it by the trait as well", () => {
    kernel.write(fixture.final);
    expect(session.runs.map((each) => each.session.run.status)).toEqual(["completed", "failed"]);
  });

  test("a message of one run touches no other", () => {
    kernel.say(...fixture.messages.filter((message) => message.turn === "r0"));
    expect(session.runs.map((each) => each.session.run.status)).toEqual(["completed", "queued"]);
  });

  test("what is in no envelope, or in that of nobody, changes nothing", () => {
    const before = JSON.stringify(session.runs.map((each) => each.session.run));
    kernel.say(
      null,
      "x",
      { type: "run" },
      { type: "run", turn: "r7", message: {} },
      started[0]?.message,
    );
    expect(JSON.stringify(session.runs.map((each) => each.session.run))).toBe(before);
  });

  test("waits for a kernel that has not written its state yet", () => {
    view.dispose();
    session.dispose();
    kernel.trait = {};
    open();
    expect(rows()).toEqual([]);
    kernel.write(fixture.snapshot);
    expect(rows().map((row) => row[0])).toEqual(["a", "a (2)"]);
  });

  test("listens to nothing once it is disposed", () => {
    view.dispose();
    session.dispose();
    expect(kernel.on.size).toBe(0);
  });

  test("a kernel that is gone ends all runs", () => {
    for (const on of [...kernel.on]) on.lost(true);
    expect(session.runs.map((each) => each.session.run.status)).toEqual([
      "interrupted",
      "interrupted",
    ]);
  });
});

describe("what is kept for the notebook", () => {
  const of = (id: string) => fixture.messages.filter((message) => message.turn === id);
  const runs = () => (kernel.trait as typeof fixture.snapshot).compare.runs;

  test("has the end of a run while the others go on", () => {
    kernel.say(...of("r0").slice(0, -1));
    expect(kernel.kept).toEqual([]);
    kernel.say(of("r0").at(-1));
    expect(kernel.kept).toHaveLength(1);
    expect(runs()[0]).toEqual(fixture.final.compare.runs[0]);
    expect(runs()[1]).toEqual(fixture.snapshot.compare.runs[1]);
    const { prompt, title } = fixture.snapshot.compare;
    expect(kernel.trait).toMatchObject({ compare: { prompt, title } });
    expect(fixture.snapshot.compare.runs[0]?.run.run.status).toBe("queued");
    kernel.say(...of("r1"));
    expect(kernel.trait).toEqual({ ...fixture.final, seq: fixture.snapshot.seq });
  });

  test("has what a run tells after its end", () => {
    kernel.say(...of("r0"));
    const { seq = 0 } = runs()[0]?.run ?? {};
    const op = { op: "run", set: { followups: ["next?"] } };
    const message = { type: "ops", seq: seq + 1, ops: [op] };
    kernel.say({ type: "run", turn: "r0", message });
    vi.advanceTimersByTime(500);
    expect(runs()[0]?.run).toMatchObject({ seq: seq + 1, run: { followups: ["next?"] } });
  });

  test("is taken for no news, and ends in nobody's run", () => {
    const { session: second } = session.runs[1] ?? {};
    kernel.say(...of("r1").slice(0, 2));
    const parts = second?.run.parts;
    kernel.say(...of("r0"));
    expect(second?.run.parts).toBe(parts);
  });

  test("does not have it that a kernel is gone", () => {
    for (const on of [...kernel.on]) on.lost(true);
    vi.advanceTimersByTime(1000);
    expect(kernel.kept).toEqual([]);
  });
});

describe("stopping", () => {
  test("all takes one message", () => {
    stopAll().click();
    expect(stops()).toEqual([{ type: "stop" }]);
    vi.advanceTimersByTime(300);
    expect(stopAll().textContent).toBe("Stopping…");
    expect(stopAll().getAttribute("aria-disabled")).toBe("true");
    stopAll().click();
    expect(stops()).toHaveLength(1);
  });

  test("all can be asked again when nobody answered", () => {
    stopAll().click();
    vi.advanceTimersByTime(1500);
    stopAll().click();
    expect(stops()).toEqual([{ type: "stop" }, { type: "stop" }]);
  });

  test("one goes in its own envelope", () => {
    all(".agentnb-compare-runs .agentnb-stop")[1]?.click();
    expect(stops()).toEqual([{ type: "run", turn: "r1", message: { type: "stop" } }]);
    vi.advanceTimersByTime(300);
    expect(stopAll().textContent).toBe("Stop all");
  });

  test("a comm that is closed throws nothing", () => {
    kernel.closed = true;
    stopAll().click();
    vi.advanceTimersByTime(1500);
    expect(stopAll().textContent).toBe("Stop all");
  });

  test("the button goes with the last run, and leaves its focus in the view", () => {
    stopAll().focus();
    kernel.say(...fixture.messages);
    expect(stopAll().hidden).toBe(true);
    expect(view.element.contains(document.activeElement)).toBe(true);
    expect(document.activeElement?.closest("[hidden]")).toBeNull();
  });
});

describe("the view", () => {
  test("shows the runs side by side, each under its label", () => {
    expect(
      all(".agentnb-compare-runs > .agentnb .agentnb-title").map((e) => e.textContent),
    ).toEqual(["a", "a (2)"]);
    expect(all(".agentnb-compare-prompt")[0]?.textContent).toBe(fixture.snapshot.compare.prompt);
    expect(view.element.getAttribute("aria-label")).toBe("Comparison of 2 agents");
  });

  test("answers stream into their columns", () => {
    kernel.say(...fixture.messages);
    const answers = all(".agentnb-compare-runs > .agentnb .agentnb-answer");
    expect(answers.map((e) => e.textContent?.trim())).toEqual(["It is 142.50", "I think"]);
  });

  test("has a real table with a caption and scopes", () => {
    expect(all(".agentnb-compare-table caption")).toHaveLength(1);
    expect(
      all(".agentnb-compare-table thead th").map((th) => [
        th.textContent,
        th.getAttribute("scope"),
      ]),
    ).toEqual(
      ["Agent", "Status", "First token", "Duration", "Input tokens", "Output tokens", "Cost"].map(
        (heading) => [heading, "col"],
      ),
    );
    expect(all(".agentnb-compare-table tbody th").map((th) => th.getAttribute("scope"))).toEqual([
      "row",
      "row",
    ]);
  });

  test("tells the figures when all is over", () => {
    kernel.say(...fixture.messages);
    expect(rows()).toEqual([
      ["a", "Completed", "0.1 s", "0.5 s", "40", "8", "$0.0002"],
      ["a (2)", "Failed", "0.1 s", "0.3 s", "–", "–", "–"],
    ]);
  });

  test("durations count up while runs go on", () => {
    kernel.say(...started);
    vi.advanceTimersByTime(3000);
    expect(Number.parseFloat(rows()[0]?.[3] ?? "")).toBeGreaterThan(2.5);
  });

  test("text is text", () => {
    view.dispose();
    session.dispose();
    const trait = structuredClone(fixture.snapshot);
    trait.compare.prompt = "<img src=x onerror=alert(1)>";
    for (const run of trait.compare.runs) run.label = "<b>bold</b>";
    kernel.trait = trait;
    open();
    expect(all("img, b")).toEqual([]);
    expect(rows()[0]?.[0]).toBe("<b>bold</b>");
  });

  test("hands a reader's focus to the notebook's cell when it goes away", () => {
    const cell = document.createElement("div");
    cell.className = "jp-Cell";
    cell.tabIndex = -1;
    document.body.append(cell);
    cell.append(view.element);
    stopAll().focus();
    view.dispose();
    expect(document.activeElement).toBe(cell);
  });
});

describe("the best of a column", () => {
  const measured = (cost: number | null, first: number, status = "completed") => ({
    run: {
      ...emptyRun(),
      status: status as "completed",
      time_to_first_token: first,
      usage: cost === null ? null : { cost_usd: cost },
    },
    elapsed: 9,
    final: status !== "running",
  });
  const best = (...runs: ReturnType<typeof measured>[]) =>
    figures(runs).map((row) => row.map((cell) => cell.best));

  test("is the least, and marked where it is written the same", () => {
    expect(best(measured(0.5, 1.2), measured(0.25, 1.21), measured(null, 3))).toEqual([
      [true, false, false, false, false],
      [true, false, false, false, true],
      [false, false, false, false, false],
    ]);
  });

  test("is told only once all runs are over", () => {
    expect(best(measured(0.5, 1), measured(0.2, 2, "running")).flat()).not.toContain(true);
  });

  test("is no run that did not complete", () => {
    expect(best(measured(0.5, 2), measured(0.4, 3), measured(0.1, 0.1, "cancelled"))).toEqual([
      [true, false, false, false, false],
      [false, false, false, false, true],
      [false, false, false, false, false],
    ]);
  });

  test("is marked in the table, and the mark is explained", () => {
    view.dispose();
    session.dispose();
    const trait = structuredClone(fixture.final);
    const second = trait.compare.runs[1];
    if (second) second.run.run = { ...second.run.run, status: "completed", duration: 2 };
    kernel.trait = trait;
    open();
    const marks = all(".agentnb-compare-best");
    expect(marks.map((mark) => mark.getAttribute("aria-label"))).toEqual(["least"]);
    expect(marks[0]?.closest("tr")?.firstChild?.textContent).toBe("a");
    expect(all("caption span")[0]?.hidden).toBe(false);
  });
});
