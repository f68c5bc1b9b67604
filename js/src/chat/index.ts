// Exports of the chat for the widget.

export type { ChatChannel } from "./line.js";
export { ChatSession } from "./session.js";
export { ChatView } from "./view.js";
