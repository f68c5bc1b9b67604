// A turn whose run waits for its connection.

import { expect, test, vi } from "vitest";
import type { Waiting } from "../protocol.js";
import { eachWithItsOwn, find, kernel, open, session, turn } from "./harness.js";

eachWithItsOwn();

const waiting: Waiting = { kind: "reconnect", attempt: 1, of: 5, seconds: 4, reason: "reset" };
const said = () => find(".agentnb-said").textContent?.trim();
const words = () => find(".agentnb-waiting-words").textContent;

function tell(set: object): void {
  kernel.run("1", { op: "run", set: { ...set, elapsed: 5 } });
  vi.advanceTimersByTime(50);
}

test("each attempt is announced once, in the chat's own region", () => {
  open([turn("1", null, { status: "running" })]);
  tell({ waiting });
  expect(words()).toBe("Reconnecting, 1 of 5, in 4 s");
  expect(find(".agentnb-chat-turn").querySelector(".agentnb-waiting [role=status]")).toBeNull();
  expect(said()).toBe("Reconnecting, 1 of 5.");
  const { count } = session.announced;
  vi.advanceTimersByTime(2100);
  expect(words()).toBe("Reconnecting, 1 of 5, in 2 s");
  expect(session.announced.count).toBe(count);
  tell({ waiting: { ...waiting, attempt: 2 } });
  expect(said()).toBe("Reconnecting, 2 of 5.");
  tell({ waiting: null });
  expect(session.announced.count).toBe(count + 1);
  tell({ status: "completed", duration: 5 });
  expect(said()).toBe("Answer complete.");
});

test("it is stopped as ever, and nothing of it is kept", () => {
  open([turn("1", null, { status: "running" })]);
  tell({ waiting });
  find<HTMLButtonElement>(".agentnb-chat-go").click();
  expect(kernel.last("run")?.message).toEqual({ type: "stop" });
  tell({ status: "cancelled", waiting: null, duration: 5 });
  expect(said()).toBe("Stopped.");
  expect(find(".agentnb-waiting").textContent).toBe("");
  expect(JSON.stringify(kernel.kept.at(-1))).not.toContain("reconnect");
});

test("a chat that is saved meanwhile does not hold it", () => {
  open([turn("1", null, { status: "running" })]);
  tell({ waiting });
  kernel.ops({ op: "chat", set: { notice: "x" } });
  expect(kernel.kept.at(-1)?.chat.turns[0]?.run.run).toMatchObject({
    status: "running",
    waiting: null,
  });
});
