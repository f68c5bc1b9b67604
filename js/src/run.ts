// The code of a run's view, sufficient for most notebooks.

import style from "./run.css?inline";
import { type Channel, RunSession } from "./session.js";
import { RunView } from "./view/run.js";
import { type Model, receiving, type Session, widget } from "./widget.js";

export function run(model: Model): Session {
  const send: Channel["send"] = (message) => model.send(message);
  const session = new RunSession({ ...receiving(model), send });
  return { view: () => new RunView(session), dispose: () => session.dispose() };
}

export default () => widget({ run }, style);
