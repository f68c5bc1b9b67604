// The timeline of a run: asked for, drawn, read by keyboard and by ear.

import { describe, expect, test, vi } from "vitest";
import type { Segment, TimelinePage } from "../protocol.js";
import { eachWithItsOwn, find, open, source, views, visible } from "./harness.js";

eachWithItsOwn();

const all = <T extends Element = HTMLElement>(selector: string): T[] => [
  ...(views[0]?.element.querySelectorAll<T>(selector) ?? []),
];
const settled = () => vi.advanceTimersByTimeAsync(0);

const segment = (changes: Partial<Segment> = {}): Segment => ({
  kind: "tool",
  label: "get_price",
  start: 1,
  end: 3,
  status: "completed",
  detail: '{"symbol":"NVDA"}',
  ...changes,
});

const waiting = segment({ kind: "waiting", label: "Waiting", start: 0, end: 1, status: null });
const answer = segment({ kind: "text", label: "Answer", start: 3, end: 10, status: null });
const page = (end: number, ...segments: Segment[]): TimelinePage => ({
  end,
  total: segments.length,
  segments,
});

const button = () => find<HTMLButtonElement>(".agentnb-timeline-button");
const again = () => find<HTMLButtonElement>(".agentnb-timeline .agentnb-more");
const rows = () => all<HTMLElement>(".agentnb-timeline li");
const state = () => find(".agentnb-timeline .agentnb-timeline-state").textContent;
const bar = (row: HTMLElement) => {
  const found = row.querySelector<HTMLElement>(".agentnb-timeline-bar");
  if (!found) throw new Error("a row has no bar");
  return found;
};
const detail = () => find(".agentnb-timeline-detail").textContent;
const press = (key: string) =>
  document.activeElement?.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));

describe("the timeline", () => {
  test("is asked for once somebody wants it, and drawn to scale", async () => {
    open({ status: "completed" });
    expect(source.timelines).toEqual([]);
    expect(button().textContent).toBe("Timeline");
    button().click();
    expect(button().getAttribute("aria-expanded")).toBe("true");
    expect(find(`#${button().getAttribute("aria-controls")}`)).toBe(find(".agentnb-timeline"));
    expect(state()).toBe("Asking the kernel…");
    source.timelines[0]?.answer(page(10, waiting, segment(), answer));
    await settled();
    expect(state()).toBe("");
    expect(visible(again())).toBe(false);
    const bars = rows().map((row) => bar(row).style);
    expect(bars.map(({ left, width }) => [left, width])).toEqual([
      ["0%", "10%"],
      ["10%", "20%"],
      ["30%", "70%"],
    ]);
    const ticks = all(".agentnb-timeline-axis span").map((tick) => tick.textContent);
    expect(ticks).toEqual(["0 s", "2 s", "4 s", "6 s", "8 s", "10 s"]);
    button().click();
    button().click();
    expect(source.timelines).toHaveLength(1);
  });

  test("says in words what the bars show", async () => {
    open({ status: "completed" });
    button().click();
    source.timelines[0]?.answer(page(10, waiting, segment({ status: "failed" })));
    await settled();
    expect(find(".agentnb-timeline ol").getAttribute("aria-label")).toBe("Timeline of 10.0 s");
    expect(rows().map((row) => row.textContent)).toEqual([
      "Waiting1.0 s nothing yet, 0 ms to 1.0 s",
      "get_price2.0 s tool call, 1.0 s to 3.0 s, failed",
    ]);
  });

  test("is gone through by arrows, and tells of each", async () => {
    open({ status: "completed" });
    button().click();
    source.timelines[0]?.answer(page(10, waiting, segment(), answer));
    await settled();
    expect(rows().map((row) => row.tabIndex)).toEqual([0, -1, -1]);
    rows()[0]?.focus();
    press("ArrowDown");
    expect(document.activeElement).toBe(rows()[1]);
    expect(detail()).toBe('get_price: 1.0 s to 3.0 s, completed · {"symbol":"NVDA"}');
    press("End");
    press("ArrowDown");
    expect(document.activeElement).toBe(rows()[2]);
    press("Home");
    press("ArrowUp");
    expect(document.activeElement).toBe(rows()[0]);
    expect(rows().map((row) => row.tabIndex)).toEqual([0, -1, -1]);
  });

  test("of a run that goes on is drawn anew when asked, and at its end", async () => {
    open({ time_to_first_token: 1 });
    button().click();
    source.timelines[0]?.answer(page(2, waiting, segment({ end: 2, status: "running" })));
    await settled();
    rows()[1]?.focus();
    expect(again().textContent).toBe("Refresh");
    again().click();
    again().click();
    expect(source.timelines).toHaveLength(2);
    source.timelines[1]?.answer(page(3, waiting, segment()));
    await settled();
    expect(document.activeElement).toBe(rows()[1]);
    source.change({ status: "completed" });
    expect(source.timelines).toHaveLength(3);
    source.timelines[2]?.answer(page(10, waiting, segment(), answer));
    await settled();
    expect(rows()).toHaveLength(3);
    expect(visible(again())).toBe(false);
  });

  test("that was asked for just before the end is asked for again", async () => {
    open({ time_to_first_token: 1 });
    button().click();
    source.change({ status: "completed" });
    source.timelines[0]?.answer(page(2, waiting));
    await settled();
    expect(source.timelines).toHaveLength(2);
  });

  test("that nobody tells of can be asked for again", async () => {
    open({ status: "interrupted" });
    button().click();
    source.timelines[0]?.fail(new Error("silent"));
    await settled();
    expect(state()).toMatch(/^The kernel does not answer/);
    expect(again().textContent).toBe("Try again");
    again().click();
    source.timelines[1]?.answer(page(0));
    await settled();
    expect(state()).toBe("Nothing has happened yet.");
    expect(visible(find(".agentnb-timeline-chart"))).toBe(false);
  });

  test.each([Number.MAX_VALUE, 1e300, -1, 0, 1e-300])("has few ticks up to %d", async (end) => {
    open({ status: "completed" });
    button().click();
    source.timelines[0]?.answer(page(end, segment({ start: -end, end })));
    await settled();
    expect(all(".agentnb-timeline-axis span").length).toBeLessThan(25);
  });

  test("is text, and says where it is cut", async () => {
    open({ status: "completed" });
    button().click();
    const odd = segment({ label: "<b>\u202e", detail: "<i>x</i>" });
    source.timelines[0]?.answer({ ...page(3, odd), total: 1234 });
    await settled();
    expect(rows()[0]?.textContent).toContain("<b>⟨U+202E⟩");
    rows()[0]?.focus();
    expect(detail()).toContain("<i>x</i>");
    expect(all(".agentnb-timeline :is(b, i)")).toEqual([]);
    expect(state()).toBe("The first 1 of 1,234 are shown.");
  });

  test.each([
    [0, ["0.0000000 s"]],
    [0.034, ["0 ms", "10 ms", "20 ms", "30 ms"]],
    [1, ["0.0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1.0 s"]],
    [42, ["0 s", "10 s", "20 s", "30 s", "40 s"]],
    [900, ["0 min", "5 min", "10 min", "15 min"]],
    [40_000, ["0 h", "5 h", "10 h"]],
  ])("an axis of %d s has round ticks", async (end, expected) => {
    open({ status: "completed" });
    button().click();
    source.timelines[0]?.answer(page(end, segment({ start: 0, end })));
    await settled();
    const ticks = all(".agentnb-timeline-axis span").map((tick) => tick.textContent);
    if (end > 0) expect(ticks).toEqual(expected);
    else expect(ticks.length).toBeGreaterThan(0);
  });
});
