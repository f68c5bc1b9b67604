// Exports of the history for the widget.

export { type HistoryChannel, HistorySession } from "./session.js";
export { HistoryView } from "./view.js";
