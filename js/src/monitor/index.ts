// The watched runs, one row each.

export { type MonitorChannel, MonitorSession } from "./session.js";
export { MonitorView } from "./view.js";
