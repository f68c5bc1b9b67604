// Several runs of one question, side by side.

export { type CompareMessage, CompareSession, type RunsChannel } from "./session.js";
export { CompareView } from "./view.js";
