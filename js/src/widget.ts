// The entry that anywidget loads: `initialize` holds a run's state, `render` draws views of it.

import type { AnyModel, InitializeProps, RenderProps } from "@anywidget/types";
import { type Channel, RunSession } from "./session.js";
import { RunView } from "./view/run.js";

type Model = AnyModel<{ snapshot: unknown }>;

function channel(model: Model): Channel {
  return {
    snapshot: () => model.get("snapshot"),
    send: (message) => model.send(message),
    listen(on, signal) {
      model.on("msg:custom", on.message);
      model.on("change:snapshot", on.snapshot);
      signal.addEventListener("abort", () => {
        model.off("msg:custom", on.message);
        model.off("change:snapshot", on.snapshot);
      });
    },
  };
}

/** Runs a function once, whichever way the host says that it is over: by signal or by call. */
function once(signal: AbortSignal | undefined, end: () => void): () => void {
  let over = false;
  const run = () => {
    if (over) return;
    over = true;
    end();
  };
  signal?.addEventListener("abort", run, { once: true });
  return run;
}

/** One widget. Hosts call this once per model; the session is shared by all views of it. */
export default () => {
  // Not a map from models: hosts hand out another proxy of the model at every call.
  let session: RunSession | undefined;
  let holders = 0;

  const hold = (model: Model): RunSession => {
    holders += 1;
    session ??= new RunSession(channel(model));
    return session;
  };
  const release = () => {
    holders -= 1;
    if (holders > 0) return;
    session?.dispose();
    session = undefined;
  };

  return {
    /** Holds the run's state from before the first view to after the last. */
    initialize({ model, signal }: InitializeProps): () => void {
      hold(model as Model);
      return once(signal, release);
    },

    /** Draws a view. A host that doesn't know `initialize` only misses what came before it. */
    render({ model, el, signal }: RenderProps): () => void {
      const view = new RunView(hold(model as Model));
      el.append(view.element);
      return once(signal, () => {
        view.dispose();
        release();
      });
    },
  };
};
