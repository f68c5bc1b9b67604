// A run that waits for a decision: the chat goes on beside it.

import { expect, test, vi } from "vitest";
import { eachWithItsOwn, find, kernel, open, session, turn, write } from "./harness.js";

eachWithItsOwn();

const approvals = [{ approval_id: "a", message: "Buy?", tool: null, arguments: "" }];
const paused = (id: string) => turn(id, null, { status: "paused", approvals, can_decide: true });
const go = () => find<HTMLButtonElement>(".agentnb-chat-go");
const stops = () =>
  kernel.heard.filter((message) => message.type === "run" && message.message.type === "stop");

test("the composer sends while the last turn waits", () => {
  open([paused("1")]);
  expect(session.busy).toBe(false);
  write("never mind");
  expect(go().getAttribute("aria-label")).toBe("Send");
  go().click();
  expect(kernel.last("send")).toMatchObject({ parent: "1", text: "never mind" });
});

test("so it does once a run that went on waits", () => {
  open([turn("1", null, { status: "running" })]);
  expect(go().getAttribute("aria-label")).toBe("Stop");
  kernel.run("1", { op: "run", set: { status: "paused", approvals, can_decide: true } });
  vi.advanceTimersByTime(20);
  expect(go().getAttribute("aria-label")).toBe("Send");
});

test("Stop is for what goes on, and leaves alone what waits", () => {
  open([paused("1"), turn("2", "1", { status: "running" })]);
  expect(session.busy).toBe(true);
  go().click();
  expect(stops()).toEqual([{ type: "run", turn: "2", message: { type: "stop" } }]);
  kernel.run("2", { op: "run", set: { status: "cancelled" } });
  vi.advanceTimersByTime(20);
  expect(session.stopping).toBe(false);
  session.stop();
  expect(stops()).toHaveLength(1);
});
