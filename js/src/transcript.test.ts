import { describe, expect, test } from "vitest";
import type { KernelMessage, Op, Part, ToolCall } from "./protocol.js";
import { emptyRun, Transcript } from "./transcript.js";

const ops = (seq: number, ...list: Op[]): KernelMessage => ({ type: "ops", seq, ops: list });
const text = (value: string): Part => ({ kind: "text", text: value, text_more: 0 });
const tool: ToolCall = {
  kind: "tool",
  call_id: "c",
  name: "get_price",
  arguments: "",
  arguments_more: 0,
  result: "",
  result_more: 0,
  error: null,
  status: "running",
  started: 1,
  finished: null,
};

describe("operations", () => {
  test("a run's fields are merged", () => {
    const transcript = new Transcript();
    transcript.apply(ops(1, { op: "run", set: { status: "running", title: "a" } }));
    transcript.apply(ops(2, { op: "run", set: { elapsed: 2 } }));
    expect(transcript.run).toMatchObject({ status: "running", title: "a", elapsed: 2 });
  });

  test("parts are appended, grown and changed", () => {
    const transcript = new Transcript();
    transcript.apply(ops(1, { op: "part", index: 0, part: text("a👋") }));
    transcript.apply(ops(2, { op: "append", index: 0, field: "text", offset: 3, text: "b" }));
    transcript.apply(ops(3, { op: "part", index: 1, part: tool }));
    transcript.apply(ops(4, { op: "append", index: 1, field: "arguments", offset: 0, text: "{}" }));
    transcript.apply(ops(5, { op: "set", index: 1, set: { status: "completed", finished: 2 } }));
    expect(transcript.run.parts).toEqual([
      text("a👋b"),
      { ...tool, arguments: "{}", status: "completed", finished: 2 },
    ]);
  });

  test("a part that grows stays the same object, one whose text is replaced does not", () => {
    const transcript = new Transcript();
    transcript.apply(ops(1, { op: "part", index: 0, part: text("a") }));
    const before = transcript.run.parts[0];
    transcript.apply(ops(2, { op: "append", index: 0, field: "text", offset: 1, text: "b" }));
    expect(transcript.run.parts[0]).toBe(before);
    transcript.apply(ops(3, { op: "set", index: 0, set: { text: "c" } }));
    expect(transcript.run.parts[0]).not.toBe(before);
    expect(transcript.run.parts[0]).toEqual(text("c"));
  });

  test("what the caller handed over is not changed", () => {
    const run = { ...emptyRun(), parts: [text("a")] };
    const transcript = new Transcript({ seq: 0, run });
    transcript.apply(ops(1, { op: "append", index: 0, field: "text", offset: 1, text: "b" }));
    expect(run.parts).toEqual([text("a")]);
  });
});

describe("numbers", () => {
  test("what was applied already is ignored", () => {
    const transcript = new Transcript({ seq: 5, run: emptyRun() });
    expect(transcript.apply(ops(5, { op: "run", set: { title: "x" } }))).toBe("ignored");
    expect(transcript.run.title).toBe("");
  });

  test("a missing number is a gap, and nothing is applied until a snapshot", () => {
    const transcript = new Transcript();
    expect(transcript.apply(ops(2, { op: "run", set: { title: "x" } }))).toBe("gap");
    expect(transcript.apply(ops(1, { op: "run", set: { title: "y" } }))).toBe("gap");
    expect(transcript.run.title).toBe("");
    transcript.apply({ type: "snapshot", seq: 7, run: { ...emptyRun(), title: "z" } });
    expect(transcript.apply(ops(8, { op: "run", set: { elapsed: 3 } }))).toBe("applied");
    expect(transcript.run).toMatchObject({ title: "z", elapsed: 3 });
  });

  test("an older snapshot is ignored, unless the copy is broken", () => {
    const transcript = new Transcript({ seq: 5, run: { ...emptyRun(), title: "new" } });
    const old = { seq: 4, run: { ...emptyRun(), title: "old" } };
    expect(transcript.replace(old)).toBe("ignored");
    transcript.gap();
    expect(transcript.replace(old)).toBe("applied");
    expect(transcript.run.title).toBe("old");
  });

  test("an acknowledgement carries no state", () => {
    expect(new Transcript().apply({ type: "ack", of: "stop" })).toBe("ignored");
  });
});

describe("operations that don't fit", () => {
  test.each<[string, Op]>([
    ["a part beyond the end", { op: "part", index: 2, part: text("") }],
    ["a wrong offset", { op: "append", index: 0, field: "text", offset: 2, text: "b" }],
    [
      "a field that the part has not",
      { op: "append", index: 0, field: "result", offset: 0, text: "b" },
    ],
    ["growth of a missing part", { op: "append", index: 1, field: "text", offset: 0, text: "b" }],
    ["a change of a missing part", { op: "set", index: 1, set: { error: "e" } }],
    ["a change that the part has no field for", { op: "set", index: 0, set: { error: "e" } }],
  ])("%s is a gap", (_name, op) => {
    const transcript = new Transcript({ seq: 0, run: { ...emptyRun(), parts: [text("a")] } });
    expect(transcript.apply(ops(1, op))).toBe("gap");
    expect(transcript.seq).toBe(0);
    expect(transcript.broken).toBe(true);
  });
});
