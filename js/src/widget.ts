// A widget in the page: `initialize` holds its state, `render` draws views of it.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import type { Channel } from "./session.js";
import { putStyle } from "./style.js";

export type Model = AnyModel<Record<string, unknown>>;

interface View {
  readonly element: HTMLElement;
  dispose(): void;
}

/** State of a widget, kept from before its first view until after its last. */
export interface Session {
  view(): View;
  dispose(): void;
}

/** Factories of sessions, by kind of widget. */
export type Kinds = Record<string, (model: Model) => Session>;

/** The part that all channels share; only `send` differs. */
type Receiving = Pick<Channel, "snapshot" | "listen">;

/** Return the receiving side of a model's channel. */
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

/** Whether this is the reply to a loader's code request, which sessions ignore. */
function isCode(content: unknown): boolean {
  return (content as { type?: unknown } | null)?.type === "code";
}

/**
 * Return whether the comm is closed; null where the host does not expose that.
 *
 * The model that a host passes to a widget does not show its connection. The model that holds the
 * code does, and it opens and closes with the same kernel.
 */
async function isGone(model: Model): Promise<boolean | null> {
  try {
    const { model_id } = model.get("_code") as { model_id: string };
    const found: unknown = await model.widget_manager.get_model(model_id);
    const plain = found as { comm_live?: unknown };
    // Hosts update the models one after the other, in microtasks.
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

/** Return a function that runs `end` once, on call or on abort, whichever comes first. */
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
 * Define a widget of one of the kinds, with the stylesheet of its views. Called once per model; all
 * views of the model share one session.
 */
export function widget(kinds: Kinds, style: string) {
  // Not a map from models: hosts pass a new proxy of the model with every call.
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
    /** Hold the widget's state from before the first view until after the last. */
    initialize({ model, signal }: InitializeProps): () => void {
      hold(model as Model);
      return once(signal, release);
    },

    /** Render a view. Hosts that don't call `initialize` only miss earlier messages. */
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
