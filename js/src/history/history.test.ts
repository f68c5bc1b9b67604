import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import fixture from "../../../tests/fixtures/tables/history.json";
import { exactMoment, moment } from "../view/moment.js";
import { Kernel } from "./harness.js";
import { HistorySession, HistoryView } from "./index.js";
import { isHistoryAnswer, isHistoryState, type Query } from "./protocol.js";

let kernel: Kernel;
let session: HistorySession;
let view: HistoryView;

function open(): void {
  session = new HistorySession(kernel);
  view = new HistoryView(session);
  document.body.append(view.element);
}

const find = <T extends HTMLElement = HTMLElement>(selector: string): T => {
  const found = view.element.querySelector<T>(selector);
  if (!found) throw new Error(`there is no ${selector}`);
  return found;
};
const rows = () => [...view.element.querySelectorAll<HTMLElement>("tbody tr[data-key]")];
const runButton = (index: number) => rows()[index]?.querySelector("button") as HTMLButtonElement;
const heading = (name: string) =>
  [...view.element.querySelectorAll("th")].find((th) => th.textContent === name) as HTMLElement;
const countText = () => find(".agentnb-history-count").textContent;
const word = () => find(".agentnb-history-word");
const shown = (element: HTMLElement) => element.closest("[hidden]") === null;
const type = (text: string) => {
  const field = find<HTMLInputElement>("input");
  field.value = text;
  field.dispatchEvent(new Event("input"));
};
const press = (key: string, target: Element) =>
  target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
const wanted = (changes: Partial<Query>) => ({ ...fixture.snapshot.history.query, ...changes });

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
    expect(isHistoryState(fixture.snapshot.history)).toBe(true);
    for (const answer of [
      fixture.page,
      fixture.looking,
      fixture.failed,
      fixture.agents,
      fixture.opened,
    ])
      expect(isHistoryAnswer(answer)).toBe(true);
    expect(isHistoryAnswer(fixture.unknown)).toBe(true);
  });

  test.each([
    null,
    {},
    { ...fixture.page, rows: [{}] },
    { ...fixture.page, id: 1 },
    { ...fixture.page, error: undefined },
    { ...fixture.opened, snapshot: {} },
    { ...fixture.agents, agents: [1] },
    { type: "else" },
  ])("is no answer where it is %j", (value) => {
    expect(isHistoryAnswer(value)).toBe(false);
    kernel.say(value);
    expect(rows()).toHaveLength(fixture.snapshot.history.rows.length);
  });
});

describe("the list", () => {
  test("is there at once, and asks for nothing", () => {
    expect(rows()).toHaveLength(3);
    expect(kernel.sent).toEqual([]);
    expect(countText()).toBe("1–3 of 5 runs");
  });

  test("is a table with a caption, scopes and the order", () => {
    const table = find("table");
    expect(table.querySelector("caption")?.textContent).toBe("Runs");
    expect([...table.querySelectorAll("thead th")].map((th) => th.getAttribute("scope"))).toEqual(
      Array(7).fill("col"),
    );
    expect(table.querySelectorAll("tbody th[scope=row]")).toHaveLength(3);
    expect(heading("When").getAttribute("aria-sort")).toBe("descending");
    expect(table.querySelectorAll("[aria-sort]")).toHaveLength(1);
  });

  test("tells what is known of a run, and text is text", () => {
    const cells = [...(rows()[0]?.children ?? [])].map((cell) => cell.textContent);
    expect(cells[0]).toBe("Failed");
    expect(cells[1]).toContain("<img src=x onerror=alert(1)>");
    expect(cells[1]).toContain("The model is overloaded.");
    expect(cells.slice(4)).toEqual(["2.5 s", "1,234", "$0.021"]);
    expect(view.element.querySelector("img, b")).toBeNull();
    expect(rows()[1]?.textContent).toContain("–");
    expect(runButton(2).textContent).toContain("Run ");
  });

  test("waits for a kernel that has not written it yet", () => {
    view.dispose();
    session.dispose();
    kernel.trait = {};
    open();
    expect(view.element.textContent).toContain("Looking…");
    kernel.trait = fixture.snapshot;
    for (const on of kernel.on) on.snapshot();
    expect(rows()).toHaveLength(3);
  });

  test("says that there is nothing", () => {
    session.refresh();
    kernel.answer({ rows: [], total: 0 });
    expect(view.element.textContent).toContain("No runs yet.");
    expect(shown(find(".agentnb-table"))).toBe(false);
  });

  test("is kept with the notebook, in the model it came in", () => {
    session.ask({ status: "failed" });
    kernel.answer({ total: 3 });
    vi.advanceTimersByTime(1000);
    expect(kernel.kept).toHaveLength(1);
    expect(kernel.trait).toMatchObject({
      history: { limit: 3, total: 3, query: { status: "failed" } },
    });
  });
});

describe("asking", () => {
  test("sorts by the heading that is pressed, and turns it round", () => {
    heading("Cost").querySelector("button")?.click();
    expect(kernel.queries[0]?.query).toEqual(wanted({ order: "-cost" }));
    kernel.answer();
    expect(heading("Cost").getAttribute("aria-sort")).toBe("descending");
    expect(heading("When").hasAttribute("aria-sort")).toBe(false);
    heading("Cost").querySelector("button")?.click();
    kernel.answer();
    heading("Agent").querySelector("button")?.click();
    kernel.answer();
    expect(kernel.queries.map(({ query }) => query.order)).toEqual(["-cost", "cost", "agent"]);
    expect(heading("Agent").getAttribute("aria-sort")).toBe("ascending");
  });

  test("searches once the reader stops typing, from the first page", () => {
    for (const text of ["z", "ze", "zeb"]) {
      type(text);
      vi.advanceTimersByTime(100);
    }
    expect(kernel.queries).toEqual([]);
    vi.advanceTimersByTime(300);
    expect(kernel.queries.map(({ query }) => query)).toEqual([wanted({ text: "zeb" })]);
  });

  test("asks one thing at a time, and then what is wanted by now", () => {
    session.ask({ status: "failed" });
    session.ask({ status: "completed" });
    session.ask({ agent: "local:a" });
    expect(kernel.queries).toHaveLength(1);
    expect(find("table").getAttribute("aria-busy")).toBe("true");
    kernel.answer();
    expect(kernel.queries.at(-1)?.query).toEqual(wanted({ status: "completed", agent: "local:a" }));
    kernel.answer();
    expect(kernel.queries).toHaveLength(2);
    expect(find("table").getAttribute("aria-busy")).toBe("false");
  });

  test("asks anew at once where the kernel looks already, and takes the last answer only", () => {
    session.ask({ status: "failed" });
    vi.advanceTimersByTime(4000);
    kernel.say({ ...fixture.looking, id: kernel.queries[0]?.id });
    vi.advanceTimersByTime(60_000);
    expect(shown(word())).toBe(false);
    session.ask({ status: "completed" });
    expect(kernel.queries).toHaveLength(2);
    kernel.say({ ...fixture.page, id: kernel.queries[0]?.id, total: 77 });
    expect(countText()).toBe("1–3 of 5 runs");
    kernel.answer({ total: 78 });
    expect(countText()).toBe("1–3 of 78 runs");
  });

  test("what another page asked for is not taken", () => {
    kernel.say({ ...fixture.page, id: "other-1", total: 99 });
    expect(countText()).toBe("1–3 of 5 runs");
  });

  test("turns the pages", () => {
    const [previous, next] = [...find(".agentnb-history-foot").querySelectorAll("button")];
    expect(previous?.getAttribute("aria-disabled")).toBe("true");
    previous?.click();
    expect(kernel.queries).toEqual([]);
    next?.click();
    expect(kernel.queries[0]?.query.offset).toBe(3);
    kernel.answer({ rows: fixture.page.rows.slice(0, 2) });
    expect(countText()).toBe("4–5 of 5 runs");
    expect(next?.getAttribute("aria-disabled")).toBe("true");
    previous?.click();
    expect(kernel.queries[1]?.query.offset).toBe(0);
  });

  test("goes back to the first page where the runs of this one are gone", () => {
    session.ask({ offset: 3 });
    kernel.answer({ rows: [], total: 2 });
    expect(kernel.queries.map(({ query }) => query.offset)).toEqual([3, 0]);
  });

  test("a search that finds nothing can be taken back", () => {
    session.ask({ text: "nothing" });
    kernel.answer({ rows: [], total: 0 });
    expect(view.element.textContent).toContain("No run matches.");
    const button = find<HTMLButtonElement>(".agentnb-history-empty button");
    button.focus();
    button.click();
    expect(kernel.queries[1]?.query).toEqual(wanted({}));
    expect(document.activeElement).toBe(find("input"));
  });

  test("a bounded count says that there are more", () => {
    session.ask({ text: "e" });
    kernel.answer({ total: 10000, more: true });
    expect(countText()).toBe("1–3 of 10,000+ runs");
  });

  test("the agents to choose from are asked for when somebody wants to choose", () => {
    const select = find<HTMLSelectElement>("select[aria-label=Agent]");
    select.dispatchEvent(new Event("focus"));
    select.dispatchEvent(new Event("focus"));
    expect(kernel.sent).toEqual([{ type: "agents" }]);
    kernel.say(fixture.agents);
    expect([...select.options].map((option) => option.value)).toContain("seekr:support_agent");
  });
});

describe("what goes wrong", () => {
  test("a store that fails says why, and the list stays", () => {
    session.refresh();
    kernel.say({ ...fixture.failed, id: kernel.queries.at(-1)?.id });
    expect(word().textContent).toBe(fixture.failed.error);
    expect(rows()).toHaveLength(3);
    session.refresh();
    kernel.answer();
    expect(shown(word())).toBe(false);
  });

  test("a kernel that does not answer is told of, and its late answer is taken", () => {
    session.ask({ status: "failed" });
    vi.advanceTimersByTime(5000);
    expect(word().textContent).toContain("does not answer");
    kernel.answer({ total: 4 });
    expect(countText()).toBe("1–3 of 4 runs");
    expect(shown(word())).toBe(false);
  });

  test("a kernel that is gone leaves the list, and nothing to ask", () => {
    for (const on of kernel.on) on.lost(true);
    expect(word().textContent).toContain("kernel is gone");
    expect(find<HTMLInputElement>("input").disabled).toBe(true);
    expect(rows()).toHaveLength(3);
  });

  test("a comm that is closed throws nothing", () => {
    kernel.closed = true;
    session.refresh();
    runButton(0).click();
    vi.advanceTimersByTime(5000);
    expect(view.element.textContent).toContain("does not answer");
  });
});

describe("a run", () => {
  const panel = () => find(".agentnb-history-panel");
  const openFirst = () => {
    runButton(0).focus();
    runButton(0).click();
    kernel.say({ ...fixture.opened, run: rows()[0]?.dataset.key });
  };

  test("opens below, with its question, and takes the focus", () => {
    openFirst();
    expect(kernel.sent).toEqual([{ type: "open", run: rows()[0]?.dataset.key }]);
    expect(panel().querySelector(".agentnb-answer")?.textContent).toContain("142.50");
    expect(panel().textContent).toContain(fixture.opened.snapshot.run.prompt);
    expect(runButton(0).getAttribute("aria-expanded")).toBe("true");
    expect(runButton(0).getAttribute("aria-controls")).toBe(panel().id);
    expect(panel().contains(document.activeElement)).toBe(true);
  });

  test("is closed by Escape, and the focus goes back to its row", () => {
    openFirst();
    press("Escape", document.activeElement as Element);
    expect(panel().hidden).toBe(true);
    expect(document.activeElement).toBe(runButton(0));
    expect(runButton(0).getAttribute("aria-expanded")).toBe("false");
    expect(kernel.sent.at(-1)).toEqual({ type: "close", run: rows()[0]?.dataset.key });
  });

  test("opens by a click anywhere in its row, and gives way to the next", () => {
    openFirst();
    rows()[1]?.querySelector("td")?.click();
    expect(panel().querySelector(".agentnb-answer")).toBeNull();
    kernel.say({ ...fixture.opened, run: rows()[1]?.dataset.key });
    expect(panel().querySelectorAll(".agentnb-answer")).toHaveLength(1);
    expect(rows().map((row) => row.dataset.open)).toEqual(["false", "true", undefined]);
  });

  test("that is not there any more says so", () => {
    runButton(0).click();
    kernel.say({ ...fixture.unknown, run: rows()[0]?.dataset.key });
    expect(panel().textContent).toContain(fixture.unknown.error);
  });

  test("asks for its events in its own envelope", () => {
    openFirst();
    panel().querySelector<HTMLElement>(".agentnb-record-button")?.click();
    expect(kernel.sent.at(-1)).toEqual({
      type: "run",
      turn: rows()[0]?.dataset.key,
      message: { type: "events", offset: 0 },
    });
  });

  test("stays open while the list changes", () => {
    openFirst();
    session.ask({ status: "failed" });
    kernel.answer({ rows: fixture.page.rows.slice(0, 1), total: 1 });
    expect(panel().hidden).toBe(false);
  });

  test("is reached from its neighbours by the arrow keys", () => {
    runButton(0).focus();
    press("ArrowDown", runButton(0));
    expect(document.activeElement).toBe(runButton(1));
    press("ArrowUp", runButton(1));
    press("ArrowUp", runButton(0));
    expect(document.activeElement).toBe(runButton(0));
  });

  test("keeps the focus when the list is drawn anew", () => {
    runButton(1).focus();
    const key = rows()[1]?.dataset.key;
    session.refresh();
    kernel.answer({ rows: fixture.page.rows });
    expect(document.activeElement?.closest("tr")?.dataset.key).toBe(key);
  });
});

test("moments stay true: of another year without the hour", () => {
  const at = new Date(2026, 10, 22, 9, 5, 7);
  expect(moment(at.getTime() / 1000, at)).toBe("22 Nov, 09:05");
  expect(moment(at.getTime() / 1000, new Date(2027, 0, 1))).toBe("22 Nov 2026");
  expect(exactMoment(at.getTime() / 1000)).toBe("2026-11-22 09:05:07");
});
