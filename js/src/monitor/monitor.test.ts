import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import fixture from "../../../tests/fixtures/tables/monitor.json";
import { type MonitorChannel, MonitorSession, MonitorView } from "./index.js";
import { isMonitorMessage, isMonitorState, type MonitorCommand } from "./protocol.js";
import { asking, counts } from "./words.js";

type On = Parameters<MonitorChannel["listen"]>[0];

/** The kernel's end of a channel, in the page. */
class Kernel implements MonitorChannel {
  trait: unknown = fixture.snapshot;
  heard: MonitorCommand[] = [];
  kept: unknown[] = [];
  closed = false;
  readonly on = new Set<On>();

  snapshot(): unknown {
    return this.trait;
  }

  send(message: MonitorCommand): void {
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
}

let kernel: Kernel;
let session: MonitorSession;
let view: MonitorView;

function open(): void {
  session = new MonitorSession(kernel);
  view = new MonitorView(session);
  document.body.append(view.element);
}

const find = <T extends HTMLElement = HTMLElement>(selector: string): T => {
  const found = view.element.querySelector<T>(selector);
  if (!found) throw new Error(`there is no ${selector}`);
  return found;
};
const rows = () => [...view.element.querySelectorAll<HTMLElement>("tbody tr")];
const cells = (index: number) => [...(rows()[index]?.children ?? [])].map((td) => td.textContent);
const stop = (index: number) => rows()[index]?.querySelector("button") as HTMLButtonElement;
const counted = () => find(".agentnb-monitor-counts").textContent;
const told = () => find(".agentnb-monitor-asking").textContent;
const hint = () => find(".agentnb-monitor-hint");
const first = fixture.snapshot.monitor.rows[0];
const changes = (seq: number, row: object, watching: object = {}) => ({
  type: "changes",
  seq,
  rows: [{ ...first, ...row }],
  watching,
});

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

describe("what the kernel says", () => {
  test("is understood", () => {
    expect(isMonitorState(fixture.snapshot.monitor)).toBe(true);
    for (const message of fixture.messages) expect(isMonitorMessage(message)).toBe(true);
  });

  test("brings the page to the kernel's own state", () => {
    kernel.say(...fixture.messages);
    const timeless = (row: object) => ({ ...row, elapsed: 0 });
    expect(session.rows.map(timeless)).toEqual(fixture.final.monitor.rows.map(timeless));
    expect(session.over).toBe(true);
  });

  test("comes by the trait as well", () => {
    kernel.trait = fixture.final;
    for (const on of kernel.on) on.snapshot();
    expect(session.over).toBe(true);
  });

  test.each([null, {}, { type: "changes", seq: 1, rows: [{}], watching: {} }])(
    "is asked for again where it is %j",
    (value) => {
      kernel.heard = [];
      kernel.say(value);
      expect(kernel.heard).toEqual([{ type: "resync", seq: 0 }]);
      kernel.say(changes(1, { status: "failed" }));
      expect(session.rows[0]?.status).toBe("running");
      kernel.say({ type: "snapshot", ...fixture.final });
      expect(session.over).toBe(true);
    },
  );

  test("is asked for again where something is missing", () => {
    kernel.heard = [];
    kernel.say(changes(2, { status: "failed" }));
    expect(kernel.heard).toEqual([{ type: "resync", seq: 0 }]);
  });
});

describe("the table", () => {
  test("has a row a run, and asks once for what was missed", () => {
    expect(rows()).toHaveLength(2);
    expect(kernel.heard).toEqual([{ type: "resync", seq: 0 }]);
    expect(view.element.querySelectorAll("tbody th[scope=row]")).toHaveLength(2);
    expect(counted()).toBe("1 running, 1 queued");
  });

  test("tells what a run was asked, of whom, and how far it is; text is text", () => {
    expect(cells(0)[0]).toBe("Running");
    expect(cells(0)[1]).toContain("<img src=x onerror=alert(1)>");
    expect(cells(0)[1]).toContain("finance_agent · local");
    expect(cells(0)[1]).toContain("Thinks");
    expect(view.element.querySelector("img")).toBeNull();
    expect(cells(1)[2]).toBe("–");
  });

  test("counts up between two words of the kernel", () => {
    const before = cells(0)[2];
    vi.advanceTimersByTime(3000);
    expect(cells(0)[2]).not.toBe(before);
    expect(Number.parseFloat(cells(0)[2] ?? "")).toBeGreaterThan(4);
  });

  test("shows what went wrong, and that all have ended", () => {
    kernel.say(...fixture.messages);
    expect(cells(0)[1]).toContain("The model is overloaded.");
    expect(cells(1)[3]).toBe("–");
    expect(counted()).toBe("1 completed, 1 failed");
    expect(told()).toContain("All have ended");
  });

  test("shows what was used, once that is known", () => {
    kernel.say(changes(1, { tokens: 1234 }));
    expect(cells(0)[3]).toBe("1,234");
  });

  test("keeps its rows for the notebook", () => {
    kernel.say(changes(1, { detail: "Answers" }));
    vi.advanceTimersByTime(1000);
    expect(kernel.kept).toHaveLength(1);
    const kept = kernel.kept[0] as typeof fixture.snapshot;
    expect(isMonitorState(kept.monitor)).toBe(true);
    expect(kept.monitor.rows[0]?.detail).toBe("Answers");
    expect(session.rows[0]?.elapsed).toBe(first?.elapsed);
  });
});

describe("stopping", () => {
  const stops = () => kernel.heard.filter(({ type }) => type === "stop");

  test("takes one click, and shows how far it is", () => {
    stop(0).click();
    stop(0).click();
    vi.advanceTimersByTime(300);
    expect(stops()).toEqual([{ type: "stop", run: first?.key }]);
    expect(stop(0).textContent).toBe("Stopping…");
    expect(stop(0).getAttribute("aria-disabled")).toBe("true");
    expect(stop(0).getAttribute("aria-label")).toContain("Stopping <img");
  });

  test("can be asked again where nobody answered", () => {
    stop(0).click();
    vi.advanceTimersByTime(1500);
    expect(cells(0)[1]).toContain("kernel is busy");
    stop(0).click();
    expect(stops()).toHaveLength(2);
  });

  test("that was refused says why, and may be tried again", () => {
    stop(0).click();
    kernel.say({ type: "ack", run: first?.key, error: null });
    expect(stop(0).textContent).toBe("Stopping…");
    kernel.say(changes(1, { error: "There is no such call." }));
    expect(cells(0)[1]).toContain("There is no such call.");
    expect(stop(0).textContent).toBe("Stop");
  });

  test("is offered only where it is possible", () => {
    expect(stop(1).hidden).toBe(true);
  });

  test("leaves the focus in the row when the button goes", () => {
    stop(0).focus();
    kernel.say(changes(1, { status: "cancelled", final: true, can_stop: false }));
    expect(stop(0).hidden).toBe(true);
    expect(document.activeElement?.closest("tr")).toBe(rows()[0]);
  });

  test("a comm that is closed throws nothing", () => {
    kernel.closed = true;
    stop(0).click();
    vi.advanceTimersByTime(1500);
    expect(stop(0).textContent).toBe("Stop again");
  });
});

describe("a kernel that is gone", () => {
  test("leaves the last rows, marked, without clock and buttons", () => {
    for (const on of kernel.on) on.lost(true);
    vi.advanceTimersByTime(300);
    expect(hint().textContent).toContain("Not live");
    expect(stop(0).hidden).toBe(true);
    const before = cells(0)[2];
    vi.advanceTimersByTime(3000);
    expect(cells(0)[2]).toBe(before);
    expect(told()).toBe("");
  });

  test("is taken for gone where a reopened page never heard of it", () => {
    vi.advanceTimersByTime(60_000);
    expect(hint().textContent).toContain("Not live");
    kernel.say({ type: "snapshot", ...fixture.snapshot });
    expect(hint().hidden).toBe(true);
  });

  test("changes nothing about runs that have ended", () => {
    kernel.say(...fixture.messages);
    for (const on of kernel.on) on.lost(true);
    vi.advanceTimersByTime(60_000);
    expect(hint().hidden).toBe(true);
    expect(told()).toContain("All have ended");
  });
});

describe("how it is asked", () => {
  const watching = fixture.snapshot.monitor.watching;

  test("is told in words", () => {
    expect(asking({ ...watching, polls: false }, null, false)).toBe("Followed live.");
    expect(asking({ ...watching, polls: true }, null, false)).toBe("Asking; asked every 3 s.");
    expect(asking({ ...watching, polls: true, slow: true, interval: 30 }, 12.2, false)).toBe(
      "Last asked 12 s ago; nothing changes, so asked only every 30 s.",
    );
    expect(asking({ ...watching, over: true }, 5, false)).toBe("No longer watched.");
  });

  test("ages by the page's own clock", () => {
    kernel.say(changes(1, {}, { polls: true, asked: 0, interval: 3 }));
    vi.advanceTimersByTime(5000);
    expect(told()).toBe("Last asked 5 s ago; asked every 3 s.");
  });

  test("no runs are no runs", () => {
    expect(counts([])).toBe("No runs");
    expect(counts(["failed", "paused", "failed"])).toBe("1 waiting for approval, 2 failed");
  });
});
