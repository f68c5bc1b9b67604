// What a saved notebook holds of a run that told more after its end.

import { expect, test, vi } from "vitest";
import { eachWithItsOwn, follow, kernel, session, turn } from "./harness.js";

eachWithItsOwn();

const run = () => kernel.kept.at(-1)?.chat.turns[0]?.run;
const frame = () => vi.advanceTimersByTime(20);

function end(): void {
  follow([turn("1", null, { status: "running" })]);
  kernel.run("1", { op: "run", set: { status: "completed" } });
  frame();
}

test("usage and followups that come after the end are kept, in one go", () => {
  end();
  expect(run()?.run.usage).toBeNull();
  const { length } = kernel.kept;
  kernel.run("1", { op: "run", set: { usage: { total_tokens: 42 } } });
  frame();
  kernel.run("1", { op: "run", set: { followups: ["next?"] } });
  frame();
  expect(kernel.kept).toHaveLength(length);
  vi.advanceTimersByTime(500);
  expect(kernel.kept).toHaveLength(length + 1);
  expect(run()).toMatchObject({
    seq: 4,
    run: { usage: { total_tokens: 42 }, followups: ["next?"] },
  });
});

test("the next structural change has them too", () => {
  end();
  kernel.run("1", { op: "run", set: { usage: { total_tokens: 42 } } });
  kernel.add(turn("2", "1"));
  expect(run()?.run.usage).toEqual({ total_tokens: 42 });
});

test("what is yet to be kept when the session ends is kept then", () => {
  end();
  kernel.run("1", { op: "run", set: { usage: { total_tokens: 42 } } });
  frame();
  session.dispose();
  expect(run()?.run.usage).toEqual({ total_tokens: 42 });
  const { length } = kernel.kept;
  vi.advanceTimersByTime(5000);
  expect(kernel.kept).toHaveLength(length);
});
