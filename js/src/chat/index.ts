// The parts of a chat that the widget needs.

export type { ChatChannel } from "./connection.js";
export { ChatSession } from "./session.js";
export { ChatView } from "./view.js";
