// A widget in the page: `initialize` holds its state, `render` draws views of it.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { Channel } from "./session.js";
import { putStyle } from "./style.js";

export type Model = AnyModel<Record<string, unknown>>;

interface View {
  readonly element: HTMLElement;
  dispose(): void;
}

/** What a widget holds, from before its first view to after its last. */
export interface Session {
  view(): View;
  dispose(): void;
}

/** What makes the session of a widget, by the kind of the widget. */
export type Kinds = Record<string, (model: Model) => Session>;

/** What all channels have: only what is sent differs. */
type Receiving = Pick<Channel, "snapshot" | "listen">;

/** The side of a channel on which the page hears. */
export function receiving(model: Model): Receiving {
  return {
    snapshot: () => model.get("snapshot"),
    listen(on, signal) {
      const message = (content: unknown) => {
        if (!isCode(content)) on.message(content);
      };
      const live = async (told: boolean) => {
        const gone = await isGone(model);
        if (!signal.aborted && (gone || (told && gone === false))) on.lost(gone);
      };
      const update = () => void live(true);
      model.on("msg:custom", message);
      model.on("change:snapshot", on.snapshot);
      model.on("comm_live_update", update);
      signal.addEventListener("abort", () => {
        model.off("msg:custom", message);
        model.off("change:snapshot", on.snapshot);
        model.off("comm_live_update", update);
      });
      void live(false);
    },
  };
}

/** The answer to a loader, which may be that of another page: nothing for a session. */
function isCode(content: unknown): boolean {
  return (content as { type?: unknown } | null)?.type === "code";
}

/**
 * Whether the kernel's end is gone; null where the host doesn't tell.
 *
 * What a host hands out of a model says nothing of its connection. That of the model with the code
 * is another, but it comes and goes with the same kernel.
 */
async function isGone(model: Model): Promise<boolean | null> {
  try {
    const { model_id } = model.get("_code") as { model_id: string };
    const found: unknown = await model.widget_manager.get_model(model_id);
    const plain = found as { comm_live?: unknown };
    // Models are told one after the other, in microtasks.
    await new Promise((resolve) => setTimeout(resolve));
    return typeof plain.comm_live === "boolean" ? !plain.comm_live : null;
  } catch {
    return null;
  }
}

function sessionOf(model: Model, kinds: Kinds): Session {
  const kind = String(model.get("kind"));
  const make = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined;
  if (!make) throw new Error(`agentnb: there is no view of the kind ${kind}`);
  return make(model);
}

/** Runs a function once, whichever way the host says that it is over: by signal or by call. */
function once(signal: AbortSignal | undefined, end: () => void): () => void {
  let over = false;
  const run = () => {
    if (over) return;
    over = true;
    end();
  };
  if (signal?.aborted) run();
  else signal?.addEventListener("abort", run, { once: true });
  return run;
}

/**
 * One widget, of one of the kinds, with the stylesheet that its views need. Called once per model;
 * the session is shared by all views of it.
 */
export function widget(kinds: Kinds, style: string) {
  // Not a map from models: hosts hand out another proxy of the model at every call.
  let session: Session | undefined;
  let holders = 0;

  const hold = (model: Model): Session => {
    session ??= sessionOf(model, kinds);
    holders += 1;
    return session;
  };
  const release = () => {
    holders -= 1;
    if (holders > 0) return;
    session?.dispose();
    session = undefined;
  };

  return {
    /** Holds the widget's state from before the first view to after the last. */
    initialize({ model, signal }: InitializeProps): () => void {
      hold(model as Model);
      return once(signal, release);
    },

    /** Draws a view. A host that doesn't know `initialize` only misses what came before it. */
    render({ model, el, signal }: RenderProps): () => void {
      const view = hold(model as Model).view();
      putStyle(el, style);
      el.append(view.element);
      return once(signal, () => {
        view.dispose();
        release();
      });
    },
  };
}
