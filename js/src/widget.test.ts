import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import createWidget from "./all.js";
import { emptyRun } from "./transcript.js";

/** A model as a host keeps it: every caller gets another proxy of it. */
class Host {
  state: Record<string, unknown> = {};
  sent: unknown[] = [];
  /** The model with the code, as its manager has it. */
  code: { comm_live?: boolean } | null = { comm_live: true };
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
      widget_manager: {
        get_model: async (id: string) => {
          if (id !== "code" || !this.code) throw new Error("widget model not found");
          return this.code;
        },
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
  host.state.kind = "run";
  host.state._code = { hash: "h", model_id: "code" };
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
      ? { op: "part", index: 0, part: { kind: "text", text, text_more: 0 } }
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
    expect(host.listening).toBe(3);
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
    host.state = { kind: "run", snapshot: { seq: 0, run: emptyRun() } };
    createWidget().initialize(initializeProps());
    const el = document.createElement("div");
    other.fire("msg:custom", ops(1, "first", 0));
    createWidget().render(renderProps(el));
    expect(el.querySelector(".agentnb-answer")).toBeNull();
  });

  test("leaves the answers to loaders alone", () => {
    const widget = createWidget();
    widget.initialize(initializeProps());
    const asked = host.sent.length;
    host.fire("msg:custom", { type: "code", hash: "h", source: "" });
    expect(host.sent).toHaveLength(asked);
  });

  describe("a run whose kernel is gone is interrupted", () => {
    const status = async () => {
      const el = document.createElement("div");
      createWidget().render(renderProps(el));
      await vi.advanceTimersByTimeAsync(300);
      return () => el.querySelector("[role=status]")?.textContent;
    };

    test("when it goes", async () => {
      const now = await status();
      const before = now();
      host.code = { comm_live: false };
      host.fire("comm_live_update");
      await vi.advanceTimersByTimeAsync(300);
      expect(now()).toBe("Interrupted");
      expect(before).not.toBe("Interrupted");
    });

    test("when it was gone before", async () => {
      host.code = { comm_live: false };
      expect((await status())()).toBe("Interrupted");
    });

    test.each([{ comm_live: true }, {}, null])("and no other: %o", async (code) => {
      host.code = code;
      const now = await status();
      host.fire("comm_live_update");
      await vi.advanceTimersByTimeAsync(300);
      expect(now()).not.toBe("Interrupted");
    });
  });

  test("names a kind that it has no view of, and holds nothing", () => {
    host.state.kind = "dance";
    expect(() => createWidget().initialize(initializeProps())).toThrow("no view of the kind dance");
    expect(host.listening).toBe(0);
  });

  test("ends at once what has been aborted before it began", () => {
    const el = document.createElement("div");
    createWidget().render(renderProps(el, AbortSignal.abort()));
    expect(el.childElementCount).toBe(0);
    expect(host.listening).toBe(0);
  });
});

describe("the stylesheet", () => {
  const styles = (root: ParentNode) =>
    [...root.querySelectorAll("style")].filter((style) => style.textContent?.includes(".agentnb"));

  test("is put once into the document, though elements are filled before they are shown", () => {
    createWidget().render(renderProps(document.createElement("div")));
    const shown = document.body.appendChild(document.createElement("div"));
    createWidget().render(renderProps(shown));
    expect(styles(document)).toHaveLength(1);
    expect(styles(document.head)[0]?.textContent).toContain(".agentnb-answer");
    shown.remove();
  });

  test("is put once into each shadow root", () => {
    const hosts = [1, 2].map(() => document.body.appendChild(document.createElement("div")));
    const roots = hosts.map((each) => each.attachShadow({ mode: "open" }));
    for (const root of [...roots, ...roots]) {
      createWidget().render(renderProps(root.appendChild(document.createElement("div"))));
    }
    expect(roots.map((root) => styles(root).length)).toEqual([1, 1]);
    for (const each of hosts) each.remove();
  });

  test("comes back where a host has thrown it away", () => {
    createWidget().render(renderProps(document.createElement("div")));
    styles(document)[0]?.remove();
    createWidget().render(renderProps(document.createElement("div")));
    expect(styles(document)).toHaveLength(1);
  });
});
