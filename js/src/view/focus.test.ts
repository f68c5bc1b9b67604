// The focus of a reader, also where a host puts each view into a shadow root.

import { afterEach, describe, expect, test, vi } from "vitest";
import fixture from "../../../tests/fixtures/protocol/compare_two.json";
import { CompareSession, CompareView } from "../compare/index.js";
import { copyText } from "./copy.js";
import { eachWithItsOwn, find, open, source } from "./harness.js";

eachWithItsOwn();

/** Puts an element into a shadow root of its own, and returns what has the focus in there. */
function shade(element: HTMLElement): () => Element | null {
  const host = document.body.appendChild(document.createElement("div"));
  const root = host.attachShadow({ mode: "open" });
  root.append(element);
  return () => root.activeElement;
}

describe("in a shadow root", () => {
  test("it stays in the view when Stop goes away under it", () => {
    const view = open();
    const focused = shade(view.element);
    find(".agentnb-stop").focus();
    source.change({ status: "completed" });
    expect(focused()).toBe(find(".agentnb-header"));
  });

  test("it stays in a comparison when Stop all goes away under it", () => {
    let say: ((message: unknown) => void)[] = [];
    const session = new CompareSession({
      snapshot: () => fixture.snapshot,
      send: () => {},
      keep: () => {},
      listen: (on) => {
        say.push(on.message);
      },
    });
    const view = new CompareView(session);
    const focused = shade(view.element);
    view.element.querySelector<HTMLElement>(".agentnb-compare-head button")?.focus();
    for (const message of fixture.messages) for (const one of say) one(message);
    vi.advanceTimersByTime(300);
    expect(focused()?.className).toBe("agentnb-compare-table");
    view.dispose();
    session.dispose();
    say = [];
  });

  test("it is where it was after something was copied the older way", async () => {
    const view = open();
    const focused = shade(view.element);
    const stop = find(".agentnb-stop");
    stop.focus();
    Object.assign(document, { execCommand: () => true });
    expect(await copyText("text", stop)).toBe(true);
    expect(focused()).toBe(stop);
  });

  afterEach(() => {
    delete (document as Partial<Document>).execCommand;
  });
});

describe("when a view goes away", () => {
  function inCell(): { cell: HTMLElement; view: ReturnType<typeof open> } {
    const cell = document.body.appendChild(document.createElement("div"));
    cell.className = "jp-Cell";
    cell.tabIndex = -1;
    const view = open();
    cell.append(view.element);
    return { cell, view };
  }

  test("it goes to the notebook's cell", () => {
    const { cell, view } = inCell();
    find(".agentnb-stop").focus();
    view.dispose();
    expect(document.activeElement).toBe(cell);
  });

  test("also where the host took the view out before", () => {
    const { cell, view } = inCell();
    find(".agentnb-stop").focus();
    view.element.remove();
    view.dispose();
    expect(document.activeElement).toBe(cell);
  });

  test("it stays where a reader has gone since", () => {
    const { view } = inCell();
    const other = document.body.appendChild(document.createElement("button"));
    find(".agentnb-stop").focus();
    other.focus();
    view.dispose();
    expect(document.activeElement).toBe(other);
  });
});
