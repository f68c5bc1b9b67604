// The code of every widget: loads the code of the views, once per page, and runs it.
//
// That code is sent once per kernel, as a plain model, and not with every widget. If the host has
// no such model, or has lost it, the kernel is asked for it.
//
// Neither `initialize` nor `render` waits: hosts deliver no message, not even the code itself,
// before `initialize` has returned. Messages in the meantime are dropped; the session starts with
// the trait as it is then, and asks the kernel for what it missed.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";

/** Module of the views' code for one widget. */
interface Widget {
  initialize(props: InitializeProps): () => void;
  render(props: RenderProps): () => void;
}

interface Code {
  default(): Widget;
}

/** The code of one version, for all widgets of the page; any of them may bring its source. */
interface Entry {
  ready: Promise<Code>;
  bring(source: string): void;
  /** Until when the others need not ask the kernel. */
  asked: number;
}

const KEY = Symbol.for("agentnb.code");
const OTHERS_MS = 2000;
/** A busy kernel is asked at these times, and may answer at any. */
const ASK_MS = [0, 4000, 16000, 64000];
const SILENT_MS = 5000;
const NO_CODE =
  "agentnb: this view waits for its code from the kernel. If the kernel was restarted, run the cell again.";

const page = globalThis as { [KEY]?: Map<string, Entry> };

function entryOf(hash: string): Entry {
  page[KEY] ??= new Map();
  const entries = page[KEY];
  let entry = entries.get(hash);
  if (!entry) {
    let bring: Entry["bring"] = () => {};
    const source = new Promise<string>((resolve) => {
      bring = resolve;
    });
    entry = { ready: source.then(run), bring, asked: 0 };
    entries.set(hash, entry);
  }
  return entry;
}

async function run(source: string): Promise<Code> {
  const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  try {
    return await import(/* webpackIgnore: true */ /* @vite-ignore */ url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

function load(model: AnyModel): Promise<Code> {
  const { hash, model_id } = model.get("_code") as { hash: string; model_id: string | null };
  const entry = entryOf(hash);
  let timer: ReturnType<typeof setTimeout>;
  const bring = (source: unknown) => {
    if (typeof source === "string" && source) entry.bring(source);
  };
  const receive = (content: { type?: unknown; hash?: unknown; source?: unknown } | null) => {
    if (content?.type === "code" && content.hash === hash) bring(content.source);
  };
  const ask = (step: number) => {
    const now = Date.now();
    const wait = step === 0 && now < entry.asked ? OTHERS_MS : 0;
    if (!wait) {
      entry.asked = now + OTHERS_MS;
      try {
        model.send({ type: "code" });
      } catch {
        // A closed comm throws in some hosts; the saved state may still have the code.
      }
    }
    const next = wait ? step : step + 1;
    const at = ASK_MS[next];
    if (at !== undefined) timer = setTimeout(ask, wait || at - (ASK_MS[step] ?? 0), next);
  };
  const stop = () => {
    clearTimeout(timer);
    model.off("msg:custom", receive);
  };
  model.on("msg:custom", receive);
  // A page restores models in any order.
  timer = setTimeout(ask, model_id ? 1000 : 0, 0);
  void (async () => {
    const plain = await model.widget_manager.get_model(model_id ?? "");
    bring(plain.get("source"));
  })().catch(() => {
    // No such model, or no manager: the kernel is asked.
  });
  entry.ready.then(stop, stop);
  return entry.ready;
}

export default () => {
  let widget: Promise<Widget> | undefined;
  const start = (
    { model, signal }: { model: AnyModel; signal?: AbortSignal },
    begin: (widget: Widget) => () => void,
    fail: (text: string) => void = () => {},
  ): (() => void) => {
    let over = false;
    let end: (() => void) | undefined;
    const stop = () => {
      over = true;
      end?.();
      end = undefined;
    };
    signal?.addEventListener("abort", stop);
    widget ??= load(model).then((code) => code.default());
    widget.then(
      (made) => {
        if (!over) end = begin(made);
      },
      (error) => {
        if (!over) fail(`agentnb: this view's code can't run here: ${error}`);
      },
    );
    return stop;
  };

  return {
    initialize: (props: InitializeProps) => start(props, (made) => made.initialize(props)),

    render(props: RenderProps): () => void {
      const line = document.createElement("div");
      const say = (text: string) => {
        clearTimeout(timer);
        line.textContent = text;
        props.el.append(line);
      };
      const clear = () => {
        clearTimeout(timer);
        line.remove();
      };
      const timer = setTimeout(say, SILENT_MS, NO_CODE);
      const stop = start(
        props,
        (made) => {
          clear();
          return made.render(props);
        },
        say,
      );
      const leave = () => {
        clear();
        stop();
      };
      props.signal?.addEventListener("abort", leave);
      return leave;
    },
  };
};
