import type { InitializeProps, RenderProps } from "@anywidget/types";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import createLoader from "./loader.js";

// Stands for the bundle: a module whose widget writes down what is called.
const CODE = `
let made = 0;
export default () => {
  const number = ++made;
  const log = globalThis.log;
  return {
    initialize: ({ model }) => { log.push("initialize " + number + model.get("name")); return () => log.push("end " + number); },
    render: ({ el }) => { el.append("view " + number); return () => { el.replaceChildren(); log.push("leave " + number); }; },
  };
};
`;
const KEY = Symbol.for("agentnb.code");
const page = globalThis as { [KEY]?: unknown; log?: string[] };

class Host {
  readonly state: Record<string, unknown>;
  readonly sent: unknown[] = [];
  readonly heard = new Set<(content: unknown) => void>();
  readonly models: Record<string, { source: unknown }>;
  closed = false;

  constructor(name: string, models: Host["models"] = {}, model_id: string | null = "code") {
    this.state = { name, _code: { hash: "h1", model_id } };
    this.models = models;
  }

  get #model() {
    return {
      get: (name: string) => this.state[name],
      send: (content: unknown) => {
        if (this.closed) throw new Error("closed");
        this.sent.push(content);
      },
      on: (_: string, callback: (content: unknown) => void) => this.heard.add(callback),
      off: (_: string, callback: (content: unknown) => void) => this.heard.delete(callback),
      widget_manager: {
        get_model: async (id: string) => {
          const model = this.models[id];
          if (!model) throw new Error("widget model not found");
          return { get: (name: string) => (name === "source" ? model.source : undefined) };
        },
      },
    };
  }

  initializing(signal?: AbortSignal): InitializeProps {
    return { model: this.#model, signal } as unknown as InitializeProps;
  }

  rendering(el: HTMLElement, signal?: AbortSignal): RenderProps {
    return { model: this.#model, el, signal } as unknown as RenderProps;
  }

  say(content: unknown): void {
    for (const callback of [...this.heard]) callback(content);
  }
}

const box = () => document.createElement("div");
const log = () => page.log ?? [];
/** Lets the promises and the import go on, which no fake clock moves. */
const settled = async () => {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

let imports: number;

beforeEach(() => {
  delete page[KEY];
  page.log = [];
  imports = 0;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  // jsdom has no blob addresses; Node imports this kind.
  vi.stubGlobal(
    "Blob",
    class extends Array<string> {
      constructor(parts: string[]) {
        super(...parts);
      }
    },
  );
  URL.createObjectURL = (blob) => {
    imports += 1;
    return `data:text/javascript,${encodeURIComponent(`${String(blob)}//${Math.random()}`)}`;
  };
  URL.revokeObjectURL = () => {};
});

afterEach(() => {
  vi.useRealTimers();
});

describe("the loader", () => {
  test("gets the code from its model, once for all widgets of the page", async () => {
    const models = { code: { source: CODE } };
    const [one, two] = [new Host("a", models), new Host("b", models)];
    const els = [box(), box(), box()] as const;
    const loaders = [createLoader(), createLoader()] as const;
    loaders[0].initialize(one.initializing());
    loaders[1].initialize(two.initializing());
    loaders[0].render(one.rendering(els[0]));
    loaders[0].render(one.rendering(els[1]));
    loaders[1].render(two.rendering(els[2]));
    await settled();
    vi.advanceTimersByTime(100_000);
    expect(els.map((el) => el.textContent)).toEqual(["view 1", "view 1", "view 2"]);
    expect(log()).toEqual(["initialize 1a", "initialize 2b"]);
    expect(imports).toBe(1);
    expect([...one.sent, ...two.sent]).toEqual([]);
    expect(one.heard.size + two.heard.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("returns before the code is there, and ends what has not begun", async () => {
    const host = new Host("a");
    const [left, aborted, kept] = [box(), box(), box()];
    const controller = new AbortController();
    const loader = createLoader();
    const end = loader.initialize(host.initializing());
    const leave = loader.render(host.rendering(left));
    loader.render(host.rendering(aborted, controller.signal));
    const leaveKept = loader.render(host.rendering(kept));
    leave();
    controller.abort();
    vi.advanceTimersByTime(1000);
    host.say({ type: "code", hash: "h1", source: CODE });
    await settled();
    expect([left, aborted, kept].map((el) => el.textContent)).toEqual(["", "", "view 1"]);
    leaveKept();
    leaveKept();
    end();
    expect(log()).toEqual(["initialize 1a", "leave 1", "end 1"]);
  });

  test("ends by signals what has begun", async () => {
    const host = new Host("a", { code: { source: CODE } });
    const [model, view] = [new AbortController(), new AbortController()];
    const el = box();
    const loader = createLoader();
    loader.initialize(host.initializing(model.signal));
    loader.render(host.rendering(el, view.signal));
    await settled();
    view.abort();
    model.abort();
    expect(log()).toEqual(["initialize 1a", "leave 1", "end 1"]);
    expect(el.textContent).toBe("");
  });

  test("works in a host that doesn't call initialize", async () => {
    const host = new Host("a", { code: { source: CODE } });
    const el = box();
    createLoader().render(host.rendering(el));
    await settled();
    expect(el.textContent).toBe("view 1");
  });

  test("asks the kernel where there is no model, and only one widget does", async () => {
    const [one, two] = [new Host("a", {}, null), new Host("b", { code: { source: 0 } }, "code")];
    const [first, second] = [box(), box()];
    createLoader().render(one.rendering(first));
    createLoader().render(two.rendering(second));
    await settled();
    vi.advanceTimersByTime(1500);
    expect(one.sent).toEqual([{ type: "code" }]);
    expect(two.sent).toEqual([]);
    // What is not the answer is none: a word of the session, code of another version.
    one.say({ type: "ops", seq: 1, ops: [] });
    one.say({ type: "code", hash: "h0", source: "no code at all" });
    one.say({ type: "code", hash: "h1", source: CODE });
    await settled();
    expect([first, second].map((el) => el.textContent)).toEqual(["view 1", "view 2"]);
  });

  test("asks again, ever less often, and lets a live widget ask where another is dead", async () => {
    const [dead, live] = [new Host("a"), new Host("b")];
    dead.closed = true;
    const el = box();
    createLoader().render(dead.rendering(box()));
    createLoader().render(live.rendering(el));
    await settled();
    vi.advanceTimersByTime(3100);
    expect(live.sent).toHaveLength(1);
    vi.advanceTimersByTime(200_000);
    expect(live.sent).toHaveLength(4);
    expect(vi.getTimerCount()).toBe(0);
    live.say({ type: "code", hash: "h1", source: CODE });
    await settled();
    expect(el.textContent).toMatch(/^view \d$/);
  });

  test("says in one line that no code comes, until it does", async () => {
    const host = new Host("a");
    const el = box();
    createLoader().render(host.rendering(el));
    await settled();
    vi.advanceTimersByTime(4900);
    expect(el.textContent).toBe("");
    vi.advanceTimersByTime(200);
    expect(el.childElementCount).toBe(1);
    expect(el.textContent).toMatch(/^agentnb: .*waits for its code.*run the cell again\.$/);
    host.say({ type: "code", hash: "h1", source: CODE });
    await settled();
    expect(el.textContent).toBe("view 1");
  });

  test("says in one line that the code does not run", async () => {
    const host = new Host("a", { code: { source: "export default 5 5" } });
    const el = box();
    createLoader().render(host.rendering(el));
    await settled();
    expect(el.textContent).toMatch(/^agentnb: this view's code can't run here: \w*Error/);
    vi.advanceTimersByTime(10_000);
    expect(el.childElementCount).toBe(1);
  });

  test("takes another version's code beside it", async () => {
    const [one, two] = [new Host("a", { code: { source: CODE } }), new Host("b")];
    two.state._code = { hash: "h2", model_id: "new" };
    two.models.new = { source: CODE.replaceAll("view", "new view") };
    const [first, second] = [box(), box()];
    createLoader().render(one.rendering(first));
    createLoader().render(two.rendering(second));
    await settled();
    expect([first, second].map((el) => el.textContent)).toEqual(["view 1", "new view 1"]);
  });
});
