import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { isKernelMessage, isSnapshot, type RunState } from "./protocol.js";
import { emptyRun, Transcript } from "./transcript.js";

interface Fixture {
  name: string;
  messages: unknown[];
  expected: RunState;
  record: unknown;
  timeline: unknown;
}

const folder = join(import.meta.dirname, "../../tests/fixtures/protocol");
const fixtures: Fixture[] = readdirSync(folder)
  .filter((name) => /^(?!chat_|compare_).*\.json$/.test(name))
  .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));

test("there are fixtures of every ending", () => {
  const statuses = new Set(fixtures.map((fixture) => fixture.expected.status));
  for (const status of ["completed", "failed", "cancelled"]) expect(statuses).toContain(status);
});

describe.each(fixtures)("fixture $name", ({ messages, expected, record, timeline }) => {
  test("every message passes the guard, and so does what is told of the events", () => {
    for (const message of [...messages, record, timeline])
      expect(isKernelMessage(message)).toBe(true);
  });

  test("folds to the expected state", () => {
    const transcript = new Transcript();
    for (const message of messages) {
      if (!isKernelMessage(message)) throw new TypeError("not a message");
      expect(transcript.apply(message)).toBe("applied");
    }
    expect(transcript.run).toEqual(expected);
    expect(transcript.broken).toBe(false);
  });

  test("a lost message is noticed, and a snapshot mends it", () => {
    const parsed = messages.filter(isKernelMessage);
    const seq = parsed.length - 1;
    for (let lost = 1; lost < parsed.length - 1; lost += 1) {
      const transcript = new Transcript();
      const outcomes = parsed
        .filter((_, i) => i !== lost)
        .map((message) => transcript.apply(message));
      expect(outcomes[lost]).toBe("gap");
      expect(outcomes.slice(lost).every((outcome) => outcome === "gap")).toBe(true);
      expect(transcript.apply({ type: "snapshot", seq, run: expected })).toBe("applied");
      expect(transcript.run).toEqual(expected);
    }
  });
});

describe("guards", () => {
  const run = emptyRun();
  const tool = {
    kind: "tool",
    call_id: "c",
    name: "n",
    arguments: "",
    arguments_more: 0,
    result: "",
    result_more: 0,
    error: null,
    status: "running",
    started: null,
    finished: null,
  };
  const approval = { approval_id: null, message: "", tool: null, arguments: "" };
  const approvals = (changes: object) =>
    ops({ op: "run", set: { approvals: [{ ...approval, ...changes }] } });
  const ops = (...list: unknown[]) => ({ type: "ops", seq: 1, ops: list });

  test.each([
    ["a snapshot", { type: "snapshot", seq: 0, run }],
    [
      "a snapshot with a field of a later version",
      { type: "snapshot", seq: 0, run: { ...run, later: 1 } },
    ],
    ["no operation", ops()],
    ["run", ops({ op: "run", set: { status: "running", elapsed: 1.5 } })],
    ["part", ops({ op: "part", index: 0, part: tool })],
    ["append", ops({ op: "append", index: 0, field: "result", offset: 0, text: "x" })],
    ["set", ops({ op: "set", index: 0, set: { status: "failed", error: "e" } })],
    ["an acknowledgement", { type: "ack", of: "stop" }],
    ["that of a decision", { type: "ack", of: "decide" }],
    ["an approval of an earlier version", approvals({})],
    ["an approval with an answer", approvals({ answer_schema: "{}", expires_at: null })],
    ["an approval that expires", approvals({ expires_at: "2026-01-01T00:00:00Z" })],
    ["no event", { type: "events", offset: 7, total: 7, events: [] }],
    [
      "an event of a later version",
      { type: "events", offset: 0, total: 9, events: [{ at: 0.5, type: "new", more: [1] }] },
    ],
  ])("take %s", (_name, message) => {
    expect(isKernelMessage(message)).toBe(true);
  });

  test.each([
    ["null", null],
    ["a string", "ops"],
    ["a list", []],
    ["another type", { type: "other", seq: 1 }],
    ["no type", { seq: 1, run }],
    ["a snapshot without a state", { type: "snapshot", seq: 0 }],
    [
      "a state with a field missing",
      { type: "snapshot", seq: 0, run: { ...run, title: undefined } },
    ],
    ["an unknown status", { type: "snapshot", seq: 0, run: { ...run, status: "done" } }],
    ["a negative number", { type: "ops", seq: -1, ops: [] }],
    ["half a number", { type: "ops", seq: 1.5, ops: [] }],
    ["no list", { type: "ops", seq: 1, ops: {} }],
    ["an unknown operation", ops({ op: "delete", index: 0 })],
    ["an unknown field of the run", ops({ op: "run", set: { colour: "red" } })],
    ["an inherited field", ops({ op: "run", set: { toString: "x" } })],
    ["a field of the wrong type", ops({ op: "run", set: { title: 1 } })],
    [
      "an unknown field to append to",
      ops({ op: "append", index: 0, field: "name", offset: 0, text: "" }),
    ],
    [
      "an offset that is none",
      ops({ op: "append", index: 0, field: "text", offset: -1, text: "" }),
    ],
    ["a tool without a status", ops({ op: "part", index: 0, part: { ...tool, status: null } })],
    ["a part of unknown kind", ops({ op: "part", index: 0, part: { kind: "image", text: "" } })],
    ["a change of kind", ops({ op: "set", index: 0, set: { kind: "text" } })],
    ["usage with a text for a number", ops({ op: "run", set: { usage: { input_tokens: "1" } } })],
    ["an approval with a schema that is no text", approvals({ answer_schema: {} })],
    ["an approval that expires at a number", approvals({ expires_at: 1 })],
    ["another acknowledgement", { type: "ack", of: "start" }],
    ["events without their number", { type: "events", offset: 0, events: [] }],
    ["an event without its time", { type: "events", offset: 0, total: 1, events: [{ type: "x" }] }],
    ["a timeline without its end", { type: "timeline", total: 0, segments: [] }],
    ["a segment that is none", { type: "timeline", end: 1, total: 1, segments: [{ kind: "x" }] }],
    ["an event that is none", { type: "events", offset: 0, total: 1, events: [null] }],
  ])("refuse %s", (_name, message) => {
    expect(isKernelMessage(message)).toBe(false);
  });

  test("a trait that was never written is no snapshot", () => {
    expect(isSnapshot({})).toBe(false);
    expect(isSnapshot(undefined)).toBe(false);
  });
});
