// A chat with an agent: what the widget needs of it.

export type { ChatChannel } from "./line.js";
export { ChatSession } from "./session.js";
export { ChatView } from "./view.js";
