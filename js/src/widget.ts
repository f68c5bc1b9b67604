// A widget in the page: `initialize` creates its state, `render` its views.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { Channel } from "./session.js";
import { putStyle } from "./style.js";

export type Model = AnyModel<Record<string, unknown>>;

interface View {
  readonly element: HTMLElement;
  dispose(): void;
}

/** The state of a widget, from before its first view to after its last. */
export interface Session {
  view(): View;
  dispose(): void;
}

/** Creates the session of a widget, by its kind. */
export type Kinds = Record<string, (model: Model) => Session>;

/** The part of a channel that receives, which all widgets share. */
type Receiving = Pick<Channel, "snapshot" | "listen">;

/** Returns the receiving part of a widget's channel. */
export function receiving(model: Model): Receiving {
  return {
    snapshot: () => model.get("snapshot"),
    listen(on, signal) {
      const message = (content: unknown) => {
        if (!isCode(content)) on.message(content);
      };
      const live = async (isUpdate: boolean) => {
        const gone = await isGone(model);
        if (!signal.aborted && (gone || (isUpdate && gone === false))) on.lost(gone);
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

/** The answer to a loader, perhaps of another page, which sessions ignore. */
function isCode(content: unknown): boolean {
  return (content as { type?: unknown } | null)?.type === "code";
}

/**
 * Whether the kernel is gone; null if the host does not report it.
 *
 * Hosts do not expose the connection of the widget's model itself. The model with the code comes
 * and goes with the same kernel.
 */
async function isGone(model: Model): Promise<boolean | null> {
  try {
    const { model_id } = model.get("_code") as { model_id: string };
    const found: unknown = await model.widget_manager.get_model(model_id);
    const plain = found as { comm_live?: unknown };
    // Models are updated one after the other, in microtasks.
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

/** Calls a function once, whether the host ends the view by signal or by call. */
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
 * One widget of one of the kinds, with the stylesheet of its views. Called once per model; its
 * views share the session.
 */
export function widget(kinds: Kinds, style: string) {
  // Not a map by model: hosts pass another proxy of the model at every call.
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
    /** Creates the session before the first view, until after the last. */
    initialize({ model, signal }: InitializeProps): () => void {
      hold(model as Model);
      return once(signal, release);
    },

    /** Creates a view. Hosts without `initialize` only miss earlier messages. */
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
