// The history as a table.

export { type HistoryChannel, HistorySession } from "./session.js";
export { HistoryView } from "./view.js";
