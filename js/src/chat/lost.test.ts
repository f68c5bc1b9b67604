// What becomes of a command that got lost on its way to the kernel.

import { describe, expect, test, vi } from "vitest";
import { eachWithItsOwn, follow, kernel, session, turn } from "./harness.js";
import { NOT_TAKEN } from "./words.js";

eachWithItsOwn();

/** Sends a question that the kernel never sees. */
function loseQuestion(): string {
  session.redraft({ text: "why?" });
  session.send();
  return kernel.last("send")?.id ?? "";
}

/** Lets the page ask what there is, and answers. */
function answer(): void {
  const before = kernel.count("resync");
  vi.advanceTimersByTime(4001);
  expect(kernel.count("resync")).toBe(before + 1);
  kernel.tell();
}

describe("a question", () => {
  test("that the kernel does not know is sent once more, and answered", () => {
    follow([turn("1", null)]);
    const id = loseQuestion();
    answer();
    expect(kernel.count("send")).toBe(2);
    expect(kernel.last("send")).toMatchObject({ id, text: "why?", parent: "1" });
    expect(session.isPending(id)).toBe(true);
    kernel.begin();
    kernel.run(id, { op: "run", set: { status: "completed" } });
    vi.advanceTimersByTime(20);
    expect(session.busy).toBe(false);
    expect(session.note).toBeNull();
    const { length } = kernel.heard;
    vi.advanceTimersByTime(200_000);
    expect(kernel.heard).toHaveLength(length);
  });

  test("that is lost again comes back to the composer, which is free", () => {
    follow([turn("1", null)]);
    loseQuestion();
    answer();
    answer();
    expect(kernel.count("send")).toBe(2);
    expect(session.draft.text).toBe("why?");
    expect(session.note).toEqual({ text: NOT_TAKEN, bad: true });
    expect(session.busy).toBe(false);
    expect(session.path.map((one) => one.id)).toEqual(["1"]);
    expect(session.send()).toBe(true);
  });

  test("is not taken for lost by what was asked before it", () => {
    follow([turn("1", null)]);
    kernel.seq = 3;
    kernel.ops({ op: "chat", set: { notice: "n" } });
    const id = loseQuestion();
    kernel.tell();
    expect(kernel.count("send")).toBe(1);
    expect(session.isPending(id)).toBe(true);
  });

  test("that was to be stopped is not sent again", () => {
    follow([turn("1", null)]);
    loseQuestion();
    session.stop();
    answer();
    expect(kernel.count("send")).toBe(1);
    expect(session.draft.text).toBe("why?");
    expect(session.busy).toBe(false);
  });

  test("that was seen and not taken, the refusal being lost, comes back", () => {
    follow([turn("1", null)]);
    const id = loseQuestion();
    kernel.say({ type: "ack", id });
    answer();
    expect(kernel.count("send")).toBe(1);
    expect(session.draft.text).toBe("why?");
    expect(session.note?.text).toBe(NOT_TAKEN);
  });

  test("that was taken, its acknowledgement being lost, is not waited for", () => {
    follow([turn("1", null)]);
    const id = loseQuestion();
    vi.advanceTimersByTime(1001);
    kernel.add(turn(id, "1"));
    expect(session.note).toBeNull();
    expect(session.busy).toBe(false);
  });
});

test("an answer to be made again is asked for once more, and given up", () => {
  follow([turn("1", null)]);
  session.again("1");
  answer();
  expect(kernel.count("again")).toBe(2);
  answer();
  expect(kernel.count("again")).toBe(2);
  expect(session.busy).toBe(false);
  expect(session.note?.text).toBe(NOT_TAKEN);
});

test("another version that could not be shown is not shown", () => {
  follow([turn("1", null), turn("2", null)]);
  session.show("1");
  expect(session.path.map((one) => one.id)).toEqual(["1"]);
  answer();
  expect(kernel.count("show")).toBe(1);
  expect(session.path.map((one) => one.id)).toEqual(["2"]);
  expect(session.note?.text).toBe(NOT_TAKEN);
});
