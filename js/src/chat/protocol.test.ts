import { describe, expect, test } from "vitest";
import { head, media, turn } from "./harness.js";
import { isChatMessage, isPreview } from "./protocol.js";
import { branch, ChatFold, leaf, versions } from "./state.js";

const chat = { ...head, turns: [turn("1", null)] };

describe("guards", () => {
  test.each([
    { type: "chat", seq: 1, ops: [{ op: "chat", set: { status: "running", shown: "1" } }] },
    { type: "chat", seq: 1, ops: [{ op: "turn", index: 0, turn: turn("1", null) }] },
    { type: "snapshot", seq: 3, chat },
    { type: "run", turn: "1", message: { type: "a later protocol's" } },
    { type: "ack", id: "a" },
    { type: "refused", id: "a", message: "no" },
    {
      type: "sessions",
      id: "a",
      sessions: [{ key: "k", title: "t", turns: 1, updated: "2026-01-02", current: true }],
    },
  ])("let $type through", (message) => {
    expect(isChatMessage(message)).toBe(true);
  });

  test.each([
    null,
    [],
    "snapshot",
    { type: "chat", seq: -1, ops: [] },
    { type: "chat", seq: 1, ops: [{ op: "chat", set: { turns: [] } }] },
    { type: "chat", seq: 1, ops: [{ op: "chat", set: { status: "asleep" } }] },
    { type: "chat", seq: 1, ops: [{ op: "turn", index: 0, turn: { id: "1" } }] },
    { type: "chat", seq: 1, ops: [{ op: "chat", set: { branching: true } }] },
    { type: "chat", seq: 1, ops: [{ op: "reverse" }] },
    { type: "snapshot", seq: 1, chat: { ...chat, media: { reason: null } } },
    { type: "snapshot", seq: 1, chat: { ...chat, turns: [{ ...turn("1", null), run: {} }] } },
    {
      type: "snapshot",
      seq: 1,
      chat: { ...chat, turns: [{ ...turn("1", null), generation: -1 }] },
    },
    { type: "snapshot", seq: 1, chat: { ...chat, media: { ...media, alone: undefined } } },
    { type: "refused", id: "a" },
    { type: "sessions", id: "a", sessions: [{ key: "k" }] },
    { type: "ops", seq: 1, ops: [] },
  ])("keep %j out", (message) => {
    expect(isChatMessage(message)).toBe(false);
  });

  test("a preview is a small plain picture", () => {
    expect(isPreview("data:image/png;base64,AAAA")).toBe(true);
    expect(isPreview("data:image/svg+xml;base64,AAAA")).toBe(false);
    expect(isPreview("https://example.com/a.png")).toBe(false);
    expect(isPreview(`data:image/png;base64,${"A".repeat(16_384)}`)).toBe(false);
  });
});

describe("the fold", () => {
  const fold = () => new ChatFold({ seq: 4, chat });

  test("merges the head, appends and replaces turns", () => {
    const made = fold();
    const second = turn("2", "1");
    made.apply({
      type: "chat",
      seq: 5,
      ops: [
        { op: "turn", index: 1, turn: second },
        { op: "chat", set: { shown: "2" } },
      ],
    });
    expect(made.chat).toMatchObject({ shown: "2", title: "finance_agent" });
    const again = { ...second, note: "again" };
    made.apply({ type: "chat", seq: 6, ops: [{ op: "turn", index: 1, turn: again }] });
    expect(made.chat.turns.map((one) => one.note)).toEqual([null, "again"]);
    expect(chat.turns).toHaveLength(1);
  });

  test("a message that was missed leads to a gap, which only a snapshot mends", () => {
    const made = fold();
    expect(made.apply({ type: "chat", seq: 6, ops: [] })).toBe("gap");
    expect(made.apply({ type: "chat", seq: 7, ops: [] })).toBe("gap");
    expect(made.apply({ type: "snapshot", seq: 7, chat })).toBe("applied");
    expect(made.apply({ type: "chat", seq: 8, ops: [] })).toBe("applied");
  });

  test("a turn beyond the end is a gap; what is older is ignored", () => {
    expect(fold().apply({ type: "chat", seq: 4, ops: [] })).toBe("ignored");
    expect(fold().apply({ type: "snapshot", seq: 3, chat })).toBe("ignored");
    const op = { op: "turn" as const, index: 2, turn: turn("3", null) };
    expect(fold().apply({ type: "chat", seq: 5, ops: [op] })).toBe("gap");
  });
});

describe("branches", () => {
  const turns = [turn("1", null), turn("2", "1"), turn("3", "1"), turn("4", "2"), turn("5", null)];
  const ids = (shown: string | null) => branch(turns, shown).map((one) => one.id);

  test("go from a first question to the turn shown", () => {
    expect(ids("4")).toEqual(["1", "2", "4"]);
    expect(ids("5")).toEqual(["5"]);
    expect(ids(null)).toEqual([]);
    expect(ids("unknown")).toEqual([]);
  });

  test("end also where parents go round", () => {
    expect(branch([turn("a", "b"), turn("b", "a")], "a").map((one) => one.id)).toEqual(["b", "a"]);
  });

  test("the leaf is the last turn made of a branch", () => {
    expect(leaf(turns, "1")).toBe("4");
    expect(leaf(turns, "3")).toBe("3");
    expect(leaf(turns, "2")).toBe("4");
  });

  test("versions of a question follow the same turn", () => {
    expect(versions(turns).get("1")).toEqual(["2", "3"]);
    expect(versions(turns).get("")).toEqual(["1", "5"]);
  });
});
