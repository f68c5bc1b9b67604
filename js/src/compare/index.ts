// Exports of the comparison for the widget.

export { type CompareMessage, CompareSession, type RunsChannel } from "./session.js";
export { CompareView } from "./view.js";
