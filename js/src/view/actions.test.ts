// What a reader can do with a run: decide, ask on, copy, look at its events.

import { describe, expect, test, vi } from "vitest";
import type { EventsPage, RunState } from "../protocol.js";
import { eachWithItsOwn, find, open, source, text, tool, views, visible } from "./harness.js";

eachWithItsOwn();

const all = (selector: string): HTMLElement[] => [
  ...(views[0]?.element.querySelectorAll<HTMLElement>(selector) ?? []),
];
const settled = () => vi.advanceTimersByTimeAsync(100);

const waiting: Partial<RunState> = {
  status: "paused",
  can_decide: true,
  approvals: [
    { approval_id: "a", message: "Buy?", tool: "order", arguments: '{"n":1}' },
    { approval_id: null, message: "Really?", tool: null, arguments: "" },
  ],
};

describe("approvals", () => {
  test("can be given and refused, each by its id", () => {
    open(waiting);
    const names = all(".agentnb-decisions button").map((b) => b.getAttribute("aria-label"));
    expect(names).toEqual(["Approve order", "Deny order", "Approve Really?", "Deny Really?"]);
    all(".agentnb-approve")[0]?.click();
    all(".agentnb-deny")[1]?.click();
    expect(source.decisions).toEqual([
      ["a", true],
      [null, false],
    ]);
  });

  test("show the arguments that are agreed to", () => {
    open(waiting);
    expect(find(".agentnb-approvals .agentnb-data").textContent).toBe('{\n  "n": 1\n}');
  });

  test("are only shown where nobody takes the answer", () => {
    open({ ...waiting, can_decide: false });
    expect(all(".agentnb-approvals li")).toHaveLength(2);
    expect(all(".agentnb-approvals button:not([hidden])")).toEqual([]);
  });

  test("take one click, until it shows or may be repeated", () => {
    open(waiting);
    const button = find(".agentnb-approve");
    source.change({}, { decideState: "sent" });
    expect(button.getAttribute("aria-disabled")).toBe("true");
    button.click();
    expect(source.decisions).toEqual([]);
    source.change({}, { decideState: "unanswered" });
    expect(find(".agentnb-hint").textContent).toMatch(/busy/);
    expect(button.getAttribute("aria-disabled")).toBe("false");
    button.click();
    expect(source.decisions).toEqual([["a", true]]);
    source.change({}, { decideState: "none" });
    expect(visible(find(".agentnb-hint"))).toBe(false);
  });

  test("leave the focus in the view when they go", () => {
    open(waiting);
    find(".agentnb-approve").focus();
    source.change({ status: "running", approvals: [] }, { decideState: "none" });
    expect(visible(find(".agentnb-approvals"))).toBe(false);
    expect(document.activeElement).toBe(find(".agentnb-header"));
  });
});

describe("questions to ask next", () => {
  test("are buttons where somebody takes them", () => {
    const asked: string[] = [];
    open(
      { followups: ["Why?", "And\u202e then?"] },
      { followup: (question) => asked.push(question) },
    );
    expect(all(".agentnb-followup").map((b) => b.textContent)).toEqual([
      "Why?",
      "And⟨U+202E⟩ then?",
    ]);
    for (const button of all(".agentnb-followup")) button.click();
    expect(asked).toEqual(["Why?", "And\u202e then?"]);
  });

  test("are a list elsewhere", () => {
    open({ followups: ["Why?"] });
    expect(find(".agentnb-followups li").textContent).toBe("Why?");
    expect(all(".agentnb-followup")).toEqual([]);
  });
});

test("a compact view is one inside another", () => {
  open({}, { compact: true });
  expect(views[0]?.element.className).toBe("agentnb agentnb-compact");
});

/** A clipboard that takes what is written, or refuses. */
function clipboard(write: (text: string) => Promise<void>): void {
  vi.stubGlobal("navigator", { ...navigator, clipboard: { writeText: write } });
}

describe("copying", () => {
  test("an answer gives its Markdown, all of it and nothing else", async () => {
    const written: string[] = [];
    clipboard(async (value) => void written.push(value));
    open({ parts: [text("# A\n"), tool(), text(""), text("*b*")] });
    const button = find(".agentnb-actions .agentnb-icon-button");
    expect(visible(button)).toBe(false);
    source.change({ status: "completed" });
    expect(visible(button)).toBe(true);
    expect([button.title, button.getAttribute("aria-label")]).toEqual(
      Array(2).fill("Copy as Markdown"),
    );
    button.click();
    await settled();
    expect(written).toEqual(["# A\n\n\n*b*"]);
    expect(button.title).toBe("Copied");
    expect(find(".agentnb-said").textContent).toBe("Copied");
    expect(find(".agentnb-said").getAttribute("role")).toBe("status");
    await vi.advanceTimersByTimeAsync(3000);
    expect(button.title).toBe("Copy as Markdown");
  });

  test("there is nothing to copy of a run without an answer", () => {
    open({ status: "failed", parts: [tool()] });
    expect(visible(find(".agentnb-actions .agentnb-icon-button"))).toBe(false);
  });

  test("code, without the line's end after it", async () => {
    const written: string[] = [];
    clipboard(async (value) => void written.push(value));
    open({ status: "completed", parts: [text("```js\nlet a;\nlet b;\n```\n\n    c\n")] });
    const buttons = all(".agentnb-copy");
    expect(buttons.map((b) => b.getAttribute("aria-label"))).toEqual(["Copy code", "Copy code"]);
    for (const button of buttons) button.click();
    await settled();
    expect(written).toEqual(["let a;\nlet b;", "c"]);
    expect(buttons[0]?.dataset.copied).toBe("true");
  });

  test("works without the newer clipboard, and gives the focus back", async () => {
    vi.stubGlobal("navigator", { ...navigator, clipboard: undefined });
    const copied: string[] = [];
    document.execCommand = () => {
      const area = document.activeElement;
      if (area instanceof HTMLTextAreaElement) copied.push(area.value.slice(0, area.selectionEnd));
      return true;
    };
    open({ status: "completed", parts: [text("answer")] });
    const button = find(".agentnb-actions .agentnb-icon-button");
    button.focus();
    button.click();
    await settled();
    expect(copied).toEqual(["answer"]);
    expect(document.querySelector("textarea")).toBeNull();
    expect(document.activeElement).toBe(button);
    expect(button.title).toBe("Copied");
  });

  test("says so where it is not allowed", async () => {
    clipboard(() => Promise.reject(new Error("no")));
    document.execCommand = () => false;
    open({ status: "completed", parts: [text("answer")] });
    const button = find(".agentnb-actions .agentnb-icon-button");
    button.click();
    await settled();
    expect(button.dataset.copied).toBe("false");
    expect(find(".agentnb-said").textContent).toBe("Copying is not allowed here");
  });
});

/** A page of events, from the one numbered `offset` on. */
const page = (offset: number, count: number, total: number): EventsPage => ({
  offset,
  total,
  events: Array.from({ length: count }, (_, i) => ({
    at: (offset + i) / 8,
    type: "text_delta",
    text: `t${offset + i}`,
  })),
});

describe("raw events", () => {
  const button = () => find<HTMLButtonElement>(".agentnb-record-button");
  const more = () => find<HTMLButtonElement>(".agentnb-record .agentnb-more");
  const rows = () => all(".agentnb-record tbody tr");

  test("are asked for when somebody wants them, a page at a time", async () => {
    open({ status: "completed" });
    expect(source.asked).toEqual([]);
    expect(visible(find(".agentnb-record"))).toBe(false);
    button().click();
    expect(button().getAttribute("aria-expanded")).toBe("true");
    expect(find(".agentnb-record-state").textContent).toBe("Asking the kernel…");
    expect(visible(more())).toBe(false);
    source.asked[0]?.answer(page(0, 200, 250));
    await settled();
    expect(rows()).toHaveLength(200);
    expect([...(rows()[1]?.children ?? [])].map((cell) => cell.textContent)).toEqual([
      "0.125 s",
      "text_delta",
      '{"text":"t1"}',
    ]);
    expect(more().textContent).toBe("Show 50 more of 250 events");
    more().click();
    more().click();
    expect(source.asked.map(({ offset }) => offset)).toEqual([0, 200]);
    source.asked[1]?.answer(page(200, 50, 250));
    await settled();
    expect(rows()).toHaveLength(250);
    expect(visible(more())).toBe(false);
    expect(find(".agentnb-record-state").textContent).toBe("250 events");
    button().click();
    button().click();
    expect(source.asked).toHaveLength(2);
  });

  test("of a run that goes on can be looked for again", async () => {
    open({ time_to_first_token: 1 });
    button().click();
    source.asked[0]?.answer(page(0, 3, 3));
    await settled();
    expect(more().textContent).toBe("Look for more");
    more().click();
    source.asked[1]?.answer(page(3, 1, 4));
    await settled();
    expect(rows()).toHaveLength(4);
    source.change({ status: "completed" });
    expect(visible(more())).toBe(false);
  });

  test("that nobody tells of are said to be so, and can be asked for again", async () => {
    open({ status: "interrupted" });
    button().click();
    source.asked[0]?.fail(new Error("silent"));
    await settled();
    expect(find(".agentnb-record-state").textContent).toMatch(/^The kernel does not answer/);
    expect(more().textContent).toBe("Try again");
    more().click();
    source.asked[1]?.answer(page(0, 0, 0));
    await settled();
    expect(find(".agentnb-record-state").textContent).toBe("There are no events.");
  });

  test("are text, and long ones are cut", async () => {
    open({ status: "completed" });
    button().click();
    const data = `<b>\u202e${"x".repeat(5000)}`;
    source.asked[0]?.answer({ offset: 0, total: 1, events: [{ at: 0, type: "raw_event", data }] });
    await settled();
    const cell = find(".agentnb-record td:last-child");
    expect(cell.textContent).toMatch(/^\{"data":"<b>⟨U\+202E⟩x+…$/);
    expect(cell.textContent?.length).toBeLessThan(620);
    expect(cell.querySelector("b")).toBeNull();
  });

  test("an answer that comes after the view has gone does no harm", async () => {
    const view = open({ status: "completed" });
    button().click();
    view.dispose();
    source.asked[0]?.answer(page(0, 1, 1));
    await settled();
    expect(vi.getTimerCount()).toBe(0);
  });
});
