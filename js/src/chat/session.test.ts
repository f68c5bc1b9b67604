import { describe, expect, test, vi } from "vitest";
import { eachWithItsOwn, follow, kernel, session, text, turn } from "./harness.js";
import { BUSY, LOST, SILENT } from "./words.js";

eachWithItsOwn();

const frame = () => vi.advanceTimersByTime(20);
const write = (value: string) => session.redraft({ text: value });

describe("at the start", () => {
  test("a chat that the host does not know is asked for", () => {
    follow();
    kernel.trait = {};
    session.dispose();
    follow();
    expect(kernel.last("resync")).toEqual({ type: "resync", seq: 0 });
  });

  test("of a known one only the last run is asked for, and the answer changes nothing", () => {
    follow([turn("1", null), turn("2", "1")]);
    expect(kernel.heard).toEqual([{ type: "run", turn: "2", message: { type: "resync", seq: 1 } }]);
    const before = session.path;
    kernel.say({ type: "run", turn: "2", message: { type: "snapshot", ...turn("2", "1").run } });
    vi.advanceTimersByTime(60_000);
    expect(session.path).toBe(before);
    expect(kernel.heard).toHaveLength(1);
    expect(session.note).toBeNull();
  });

  test("a run that goes on is asked for once", () => {
    follow([turn("1", null, { status: "running" })]);
    expect(kernel.heard).toEqual([{ type: "run", turn: "1", message: { type: "resync", seq: 1 } }]);
  });

  test("a kernel that never answers is said to be silent", () => {
    follow([turn("1", null)]);
    vi.advanceTimersByTime(40_000);
    expect(session.note?.text).toBe(SILENT);
    kernel.say({ type: "ack", id: "any" });
    expect(session.note).toBeNull();
  });
});

test("a kernel that cannot be understood is asked ever less often", () => {
  follow([turn("1", null)]);
  const answer = () => kernel.say({ type: "snapshot", seq: 9, chat: { of: "another version" } });
  answer();
  const asked = () => kernel.heard.filter((message) => message.type === "resync").length;
  for (let minute = 0; minute < 10; minute += 1) {
    const before = asked();
    for (let second = 0; second < 60; second += 1) {
      const soFar = asked();
      vi.advanceTimersByTime(1000);
      if (asked() > soFar) answer();
    }
    if (minute > 2) expect(asked() - before).toBeLessThanOrEqual(1);
  }
  expect(asked()).toBeGreaterThan(5);
});

test("what is asked after a new session was begun is its first question, at once", () => {
  follow([turn("1", null)]);
  session.fresh();
  expect(session.path).toEqual([]);
  write("why?");
  session.send();
  expect(kernel.last("send")).toMatchObject({ parent: null, text: "why?" });
});

test("a new session that is refused leaves the one there is", () => {
  follow([turn("1", null)]);
  session.fresh();
  const { id } = kernel.last("new") ?? {};
  kernel.say({ type: "refused", id, message: "An answer is under way." });
  expect(session.path.map((one) => one.id)).toEqual(["1"]);
});

describe("sending", () => {
  test("shows the question at once and empties the draft", () => {
    follow([turn("1", null)]);
    write("why?");
    expect(session.send()).toBe(true);
    expect(session.path.map((one) => one.prompt)).toEqual(["question 1", "why?"]);
    expect(session.busy).toBe(true);
    expect(session.draft.text).toBe("");
    expect(kernel.last("send")).toMatchObject({ parent: "1", text: "why?", attachments: [] });
  });

  test("the kernel's turn takes the place of the pending one and its run goes on", () => {
    follow();
    write("why?");
    session.send();
    const source = session.source(session.path[0]?.id ?? "");
    const id = kernel.begin();
    expect(session.isPending(id)).toBe(false);
    expect(session.source(id)).toBe(source);
    kernel.run(id, { op: "part", index: 0, part: text("so") });
    expect(source?.run.parts).toEqual([text("so")]);
    kernel.run(id, { op: "run", set: { status: "completed" } });
    frame();
    expect(session.busy).toBe(false);
    expect(session.announced.text).toBe("Answer complete.");
  });

  test("a kernel that does not see it within a second is said to be busy", () => {
    follow();
    write("why?");
    session.send();
    vi.advanceTimersByTime(1001);
    expect(session.note?.text).toBe(BUSY);
    kernel.begin();
    expect(session.note).toBeNull();
  });

  test("what is refused comes back to the draft, before what was written since", () => {
    follow();
    write("why?");
    session.send();
    write("and");
    kernel.say({
      type: "refused",
      id: kernel.last("send")?.id,
      message: "An answer is under way.",
    });
    expect(session.draft.text).toBe("why?\n\nand");
    expect(session.path).toEqual([]);
    expect(session.note).toEqual({ text: "An answer is under way.", bad: true });
    expect(session.busy).toBe(false);
  });

  test("nothing, or while an answer is under way, is not sent", () => {
    follow([turn("1", null, { status: "running" })]);
    expect(session.send("why?")).toBe(false);
    kernel.run("1", { op: "run", set: { status: "completed" } });
    write("  ");
    expect(session.send()).toBe(false);
    expect(kernel.count("send")).toBe(0);
  });

  test("stop goes into the turn's envelope, also before the kernel has seen the question", () => {
    follow();
    write("why?");
    session.send();
    session.stop();
    const id = kernel.last("send")?.id;
    expect(kernel.heard.at(-1)).toEqual({ type: "run", turn: id, message: { type: "stop" } });
    expect(session.stopping).toBe(true);
  });

  test("files go in pieces before the question that names them", async () => {
    follow();
    const file = new File([new Uint8Array(600 * 1024)], "a.png", { type: "image/png" });
    session.redraft({ text: "look", files: [{ id: "u1", file, preview: null }] });
    session.send();
    expect(kernel.count("send")).toBe(0);
    await vi.waitFor(() => expect(kernel.count("send")).toBe(1));
    const uploads = kernel.heard.filter((message) => message.type === "upload");
    expect(uploads).toEqual([
      { type: "upload", upload: "u1", index: 0, last: false },
      { type: "upload", upload: "u1", index: 1, last: true },
    ]);
    expect(kernel.buffers.map(([buffer]) => buffer?.byteLength)).toEqual([524_288, 90_112]);
    const [attachment] = kernel.last("send")?.attachments ?? [];
    expect(attachment).toMatchObject({ upload: "u1", name: "a.png", mime_type: "image/png" });
  });

  test("stopped while files are read, it comes back with them", () => {
    follow();
    const file = new File(["x"], "a.png", { type: "image/png" });
    session.redraft({ text: "look", files: [{ id: "u1", file, preview: null }] });
    session.send();
    session.stop();
    expect(session.draft).toMatchObject({ text: "look", files: [{ id: "u1" }] });
    expect(session.busy).toBe(false);
  });
});

describe("branches", () => {
  const tree = () => [turn("1", null), turn("2", "1"), turn("3", "1")];

  test("an edited question follows what the old one followed, and keeps its attachments", () => {
    const one = turn("1", null);
    one.attachments = [{ name: "a", mime_type: null, size: 1, preview: null }];
    follow([one, turn("2", "1")]);
    const before = { text: "half", files: [] };
    session.redraft({ text: "other", edit: { turn: "1", keep: true, before } });
    session.send();
    expect(kernel.last("send")).toMatchObject({
      parent: null,
      edit: "1",
      keep: "1",
      text: "other",
    });
    expect(session.path.map((made) => made.prompt)).toEqual(["other"]);
    expect(session.path[0]?.attachments).toEqual(one.attachments);
    expect(session.draft).toEqual({ ...before, edit: null });
  });

  test("a refused edit is an edit again", () => {
    follow([turn("1", null)]);
    const edit = { turn: "1", keep: false, before: { text: "half", files: [] } };
    session.redraft({ text: "other", edit });
    session.send();
    expect(kernel.last("send")).toMatchObject({ edit: "1" });
    expect(kernel.last("send")).not.toHaveProperty("keep");
    kernel.say({ type: "refused", id: kernel.last("send")?.id, message: "no" });
    expect(session.draft).toMatchObject({ text: "other", edit: { turn: "1" } });
    expect(session.draft.edit?.before.text).toBe("half");
  });

  test("another version is shown at once, and the kernel has the last word", () => {
    follow(tree());
    session.show("2");
    expect(session.path.map((one) => one.id)).toEqual(["1", "2"]);
    const [, second] = session.path;
    expect(second && session.versions(second)).toEqual(["2", "3"]);
    kernel.say({ type: "refused", id: kernel.last("show")?.id, message: "no" });
    expect(session.path.map((one) => one.id)).toEqual(["1", "3"]);
  });

  test("an answer made again is a new version with the same question", () => {
    follow(tree());
    session.again("3");
    expect(kernel.last("again")?.turn).toBe("3");
    expect(session.path.map((one) => one.prompt)).toEqual(["question 1", "question 3"]);
    const id = kernel.last("again")?.id ?? "";
    kernel.add(turn(id, "1", { status: "running" }));
    expect(session.path.map((one) => one.id)).toEqual(["1", id]);
    expect(session.isPending(id)).toBe(false);
  });
});

describe("healing", () => {
  test("a gap asks once for the whole chat", () => {
    follow([turn("1", null)]);
    kernel.seq = 3;
    kernel.ops({ op: "chat", set: { notice: "n" } });
    kernel.ops({ op: "chat", set: { notice: "m" } });
    expect(kernel.count("resync")).toBe(1);
    kernel.tell();
    expect(session.note?.text).toBe("m");
  });

  test("so does a message of another version, and one for an unknown turn", () => {
    follow([turn("1", null)]);
    kernel.say({ type: "chat", version: 9 });
    expect(kernel.count("resync")).toBe(1);
    kernel.tell();
    kernel.say({ type: "run", turn: "7", message: {} });
    expect(kernel.count("resync")).toBe(2);
  });

  test("a lost turn of a question is asked for", () => {
    follow();
    write("why?");
    session.send();
    kernel.say({ type: "ack", id: kernel.last("send")?.id });
    const before = kernel.count("resync");
    vi.advanceTimersByTime(4001);
    expect(kernel.count("resync")).toBe(before + 1);
  });

  test("a run put in another's place is followed from its beginning", () => {
    follow([turn("1", null, { status: "paused" })]);
    kernel.run("1", { op: "run", set: { elapsed: 3 } });
    const source = session.source("1");
    const replaced = { ...turn("1", null, { status: "running" }), generation: 1 };
    replaced.run.seq = 7;
    kernel.ops({ op: "turn", index: 0, turn: replaced });
    expect(session.source("1")).not.toBe(source);
    kernel.run("1", { op: "part", index: 0, part: text("on") });
    expect(session.source("1")?.run.parts).toEqual([text("on")]);
  });

  test("a chat told anew does not make another run of one that it is behind of", () => {
    follow([turn("1", null, { status: "running" })]);
    const source = session.source("1");
    kernel.say({ type: "run", turn: "1", message: { type: "ops", seq: 9, ops: [] } });
    const [one] = kernel.chat.turns;
    if (one) one.run.seq = 8;
    kernel.tell();
    expect(session.source("1")).toBe(source);
    kernel.run("1", { op: "part", index: 0, part: text("on") });
    expect(source?.run.parts).toEqual([text("on")]);
  });
});

describe("a kernel that is gone", () => {
  test("leaves the transcript readable and what ran interrupted", () => {
    follow([turn("1", null, { status: "running", parts: [text("so")] })]);
    kernel.lose();
    expect(session.lost).toBe(true);
    expect(session.busy).toBe(false);
    expect(session.note?.text).toBe(LOST);
    expect(session.source("1")?.run).toMatchObject({ status: "interrupted", parts: [text("so")] });
    expect(session.send("why?")).toBe(false);
  });

  test("gives back what it has not told of, and may come back", () => {
    follow();
    write("why?");
    session.send();
    kernel.lose();
    expect(session.draft.text).toBe("why?");
    kernel.lose(false);
    expect(session.lost).toBe(false);
    expect(session.note).toBeNull();
  });

  test("a comm that throws is survived", () => {
    follow();
    kernel.closed = true;
    write("why?");
    expect(() => session.send()).not.toThrow();
  });
});

describe("what is kept for the notebook", () => {
  test("is written at structural changes and at a run's end, not at each delta", () => {
    follow([turn("1", null)]);
    const made = turn("2", "1", { status: "running" });
    kernel.add(made);
    expect(kernel.kept).toHaveLength(1);
    kernel.run("2", { op: "part", index: 0, part: text("so") });
    for (let i = 0; i < 50; i += 1) {
      const op = { op: "append", index: 0, field: "text", offset: 2 + i, text: "." } as const;
      kernel.run("2", op);
    }
    frame();
    expect(kernel.kept).toHaveLength(1);
    kernel.run("2", { op: "run", set: { status: "completed" } });
    frame();
    expect(kernel.kept).toHaveLength(2);
    const { chat, seq } = kernel.kept[1] ?? { chat: null, seq: -1 };
    expect(seq).toBe(1);
    expect(chat?.turns[1]?.run.run).toMatchObject({
      status: "completed",
      parts: [text(`so${".".repeat(50)}`)],
    });
    // What did not change is the same object: comparing and keeping it costs nothing.
    expect(chat?.turns[0]).toBe(kernel.kept[0]?.chat.turns[0]);
  });

  test("is not taken for news", () => {
    follow([turn("1", null)]);
    const path = session.path;
    kernel.ops({ op: "chat", set: { notice: "n" } });
    expect(kernel.count("resync")).toBe(0);
    expect(session.path).toEqual(path);
  });
});

test("sessions are asked for and opened", async () => {
  follow();
  const asked = session.sessions();
  const entry = { key: "k", title: "t", turns: 1, updated: "2026", current: false };
  kernel.say({ type: "sessions", id: kernel.last("sessions")?.id, sessions: [entry] });
  expect(await asked).toEqual([entry]);
  session.open("k");
  expect(kernel.last("open")?.key).toBe("k");
  kernel.chat = { ...kernel.chat, turns: [turn("8", null)], shown: "8" };
  kernel.seq += 1;
  kernel.tell();
  expect(session.path.map((one) => one.id)).toEqual(["8"]);
});

test("after its end it holds and says nothing", () => {
  follow([turn("1", null, { status: "running" })]);
  session.dispose();
  const { length } = kernel.heard;
  vi.advanceTimersByTime(200_000);
  expect(kernel.heard).toHaveLength(length);
  expect(kernel.signal?.aborted).toBe(true);
});
