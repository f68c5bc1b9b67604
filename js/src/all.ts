// The code of all views, for widgets other than a run's.

import { type ChatChannel, ChatSession, ChatView } from "./chat/index.js";
import { CompareSession, CompareView } from "./compare/index.js";
import { HistorySession, HistoryView } from "./history/index.js";
import { MonitorSession, MonitorView } from "./monitor/index.js";
import more from "./more.css?inline";
import first from "./run.css?inline";
import { run } from "./run.js";
import { type Kinds, type Model, receiving, widget } from "./widget.js";

function chatChannel(model: Model): ChatChannel {
  return {
    ...receiving(model),
    send: (message, buffers) => model.send(message, undefined, buffers),
    keep: keeping(model),
  };
}

/** Stores a snapshot in the model without sending it to the kernel. */
function keeping(model: Model): (snapshot: unknown) => void {
  return (snapshot) => model.set("snapshot", snapshot);
}

const KINDS: Kinds = {
  run,
  chat(model) {
    const session = new ChatSession(chatChannel(model));
    return { view: () => new ChatView(session), dispose: () => session.dispose() };
  },
  compare(model) {
    const session = new CompareSession({
      ...receiving(model),
      send: (message) => model.send(message),
      keep: keeping(model),
    });
    return { view: () => new CompareView(session), dispose: () => session.dispose() };
  },
  history(model) {
    const session = new HistorySession({
      ...receiving(model),
      send: (message) => model.send(message),
      keep: keeping(model),
    });
    return { view: () => new HistoryView(session), dispose: () => session.dispose() };
  },
  monitor(model) {
    const session = new MonitorSession({
      ...receiving(model),
      send: (message) => model.send(message),
      keep: keeping(model),
    });
    return { view: () => new MonitorView(session), dispose: () => session.dispose() };
  },
};

// In this order: a page that has the first part gets only the rest, see `putStyle`.
export default () => widget(KINDS, first + more);
