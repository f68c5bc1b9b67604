import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { emptyRun } from "./transcript.js";
import createWidget from "./widget.js";

/** A model as a host keeps it: every caller gets another proxy of it. */
class Host {
  state: Record<string, unknown> = {};
  sent: unknown[] = [];
  listeners = new Map<string, Set<(value?: unknown) => void>>();

  proxy(): AnyModel {
    return {
      get: (name: string) => this.state[name],
      send: (content: unknown) => this.sent.push(content),
      on: (event: string, callback: (value?: unknown) => void) => {
        const set = this.listeners.get(event) ?? new Set();
        this.listeners.set(event, set.add(callback));
      },
      off: (event: string, callback: (value?: unknown) => void) => {
        this.listeners.get(event)?.delete(callback);
      },
    } as unknown as AnyModel;
  }

  fire(event: string, value?: unknown): void {
    for (const callback of [...(this.listeners.get(event) ?? [])]) callback(value);
  }

  get listening(): number {
    return [...this.listeners.values()].reduce((sum, set) => sum + set.size, 0);
  }
}

let host: Host;
const initializeProps = (signal?: AbortSignal) =>
  ({ model: host.proxy(), signal }) as unknown as InitializeProps;
const renderProps = (el: HTMLElement, signal?: AbortSignal) =>
  ({ model: host.proxy(), el, signal }) as unknown as RenderProps;

beforeEach(() => {
  vi.useFakeTimers();
  host = new Host();
  host.state.snapshot = { seq: 0, run: { ...emptyRun(), title: "a" } };
});

afterEach(() => {
  vi.useRealTimers();
});

const ops = (seq: number, text: string, offset: number) => ({
  type: "ops",
  seq,
  ops: [
    offset === 0
      ? { op: "part", index: 0, part: { kind: "text", text } }
      : { op: "append", index: 0, field: "text", offset, text },
  ],
});

describe("the widget", () => {
  test("shows what came before it was displayed, in every view", () => {
    const widget = createWidget();
    const end = widget.initialize(initializeProps());
    host.fire("msg:custom", ops(1, "early", 0));
    const [one, two] = [document.createElement("div"), document.createElement("div")];
    const leave = widget.render(renderProps(one));
    const leaveTwo = widget.render(renderProps(two));
    host.fire("msg:custom", ops(2, " late", 5));
    vi.advanceTimersByTime(300);
    for (const el of [one, two])
      expect(el.querySelector(".agentnb-answer")?.textContent).toBe("early late");
    expect(host.sent).toEqual([{ type: "resync", seq: 0 }]);
    leave();
    expect(one.childElementCount).toBe(0);
    host.fire("msg:custom", ops(3, "!", 10));
    vi.advanceTimersByTime(300);
    expect(two.querySelector(".agentnb-answer")?.textContent).toBe("early late!");
    leaveTwo();
    expect(host.listening).toBe(2);
    end();
    expect(host.listening).toBe(0);
  });

  test("takes the final trait", () => {
    const widget = createWidget();
    widget.initialize(initializeProps());
    const el = document.createElement("div");
    widget.render(renderProps(el));
    host.state.snapshot = { seq: 4, run: { ...emptyRun(), status: "completed", duration: 1 } };
    host.fire("change:snapshot");
    vi.advanceTimersByTime(300);
    expect(el.querySelector("[role=status]")?.textContent).toBe("Completed");
  });

  test("sends a click on Stop", () => {
    const widget = createWidget();
    widget.initialize(initializeProps());
    const el = document.createElement("div");
    widget.render(renderProps(el));
    el.querySelector<HTMLButtonElement>(".agentnb-stop")?.click();
    expect(host.sent.at(-1)).toEqual({ type: "stop" });
  });

  test("is cleaned up by signals alone, and by a signal and a call", () => {
    const widget = createWidget();
    const [model, view] = [new AbortController(), new AbortController()];
    widget.initialize(initializeProps(model.signal));
    const el = document.createElement("div");
    const leave = widget.render(renderProps(el, view.signal));
    view.abort();
    leave();
    expect(el.childElementCount).toBe(0);
    model.abort();
    expect(host.listening).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("works in a host that doesn't call initialize", () => {
    const el = document.createElement("div");
    const leave = createWidget().render(renderProps(el));
    host.fire("msg:custom", ops(1, "text", 0));
    vi.advanceTimersByTime(300);
    expect(el.querySelector(".agentnb-answer")?.textContent).toBe("text");
    leave();
    expect(host.listening).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("two of them have nothing in common", () => {
    const first = createWidget();
    first.initialize(initializeProps());
    const other = host;
    host = new Host();
    host.state.snapshot = { seq: 0, run: emptyRun() };
    createWidget().initialize(initializeProps());
    const el = document.createElement("div");
    other.fire("msg:custom", ops(1, "first", 0));
    createWidget().render(renderProps(el));
    expect(el.querySelector(".agentnb-answer")).toBeNull();
  });
});
