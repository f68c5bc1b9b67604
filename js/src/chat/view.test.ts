import { describe, expect, test, vi } from "vitest";
import {
  area,
  eachWithItsOwn,
  find,
  head,
  kernel,
  named,
  open,
  press,
  questions,
  session,
  text,
  turn,
  view,
  write,
} from "./harness.js";
import { LOST } from "./words.js";

eachWithItsOwn();

const frame = () => vi.advanceTimersByTime(20);
const said = () => find("[role=status].agentnb-said").textContent?.trim();
const root = () => document.querySelector<HTMLElement>(".agentnb-chat") ?? document.body;
const note = () => find(".agentnb-chat-note");

describe("an empty chat", () => {
  test("says with whom, in which session, and what can be done", () => {
    open();
    expect(find(".agentnb-title").textContent).toBe("finance_agent");
    expect(find(".agentnb-platform").textContent).toBe("operativus");
    expect(find(".agentnb-chat-id").textContent).toBe("3f9c2a71…");
    expect(find(".agentnb-chat-id").title).toContain("3f9c2a71-88d0-4c1e");
    expect(find(".agentnb-chat-empty").hidden).toBe(false);
    expect(find(".agentnb-chat-empty").childElementCount).toBe(3);
    expect(area().getAttribute("aria-label")).toBe("Message to finance_agent");
  });

  test("does not speak of files where none are taken", () => {
    open([], { media: { ...head.media, reason: "They are not taken." } });
    expect(find(".agentnb-chat-empty").childElementCount).toBe(2);
  });
});

describe("turns", () => {
  test("are shown in order, text as text", () => {
    const first = turn("1", null, { parts: [text("so **much**")] });
    first.prompt = "<b>one</b>\n  two\u202e";
    open([first, turn("2", "1")]);
    expect(questions()).toEqual(["<b>one</b>\n  two⟨U+202E⟩", "question 2"]);
    expect(find(".agentnb-chat-bubble").childElementCount).toBe(0);
    expect(find(".agentnb-answer strong").textContent).toBe("much");
    expect(find(".agentnb-chat-empty").hidden).toBe(true);
  });

  test("of a long chat are drawn from the end, and all in the end", () => {
    const turns = Array.from({ length: 60 }, (_, i) => turn(`${i}`, i ? `${i - 1}` : null));
    vi.spyOn(performance, "now").mockImplementation(() => clock++);
    let clock = 0;
    open([]);
    kernel.chat = { ...kernel.chat, turns, shown: "59" };
    kernel.seq = 1;
    kernel.tell();
    expect(questions()).toEqual(["question 58", "question 59"]);
    vi.advanceTimersByTime(1);
    expect(questions().length).toBeLessThan(20);
    expect(questions().at(-3)).toBe("question 57");
    vi.advanceTimersByTime(200);
    expect(questions()).toHaveLength(60);
    expect(questions()[0]).toBe("question 0");
  });

  test("keep their elements when another comes", () => {
    open([turn("1", null)]);
    const before = find(".agentnb-chat-turn");
    kernel.add(turn("2", "1"));
    expect(find(".agentnb-chat-turn")).toBe(before);
    expect(questions()).toEqual(["question 1", "question 2"]);
  });

  test("show attachments, and pictures only from what is a picture", () => {
    const one = turn("1", null);
    const preview = "data:image/png;base64,AAAA";
    one.attachments = [
      { name: "a.png", mime_type: "image/png", size: 1400, preview },
      { name: "b.png", mime_type: "image/png", size: null, preview: "https://example.com/b.png" },
    ];
    open([one]);
    const cards = [...find(".agentnb-chat-question ul").children];
    expect(cards.map((card) => card.textContent)).toEqual(["a.png1.4 kB", "b.png"]);
    expect(cards.map((card) => card.querySelector("img")?.src ?? null)).toEqual([preview, null]);
  });

  test("show the note about a session that could not branch", () => {
    const one = { ...turn("1", null), note: "New session: it cannot branch." };
    open([one]);
    expect(find(".agentnb-chat-turn-note").textContent).toBe("New session: it cannot branch.");
  });

  test("are answered by the view that a cell has, without a second frame", () => {
    open([turn("1", null, { status: "running" })]);
    kernel.run("1", { op: "part", index: 0, part: text("so") });
    frame();
    expect(find(".agentnb-compact .agentnb-answer").textContent).toBe("so");
  });
});

describe("versions", () => {
  const tree = () => [turn("1", null), turn("2", "1"), turn("3", "1")];

  test("are counted and gone through, and the focus goes along", () => {
    open(tree());
    const group = () => find(".agentnb-chat-turn:last-child .agentnb-chat-versions");
    expect(group().getAttribute("aria-label")).toBe("Version 2 of 2");
    expect(named("Next version of question 2").getAttribute("aria-disabled")).toBe("true");
    named("Previous version of question 2").click();
    expect(questions()).toEqual(["question 1", "question 2"]);
    expect(group().textContent).toBe("1 / 2");
    expect(document.activeElement).toBe(named("Next version of question 2"));
    expect(kernel.last("show")?.turn).toBe("2");
  });

  test("are not spoken of where there is one", () => {
    open([turn("1", null)]);
    expect(find(".agentnb-chat-versions").hidden).toBe(true);
  });
});

describe("what can be done with a turn", () => {
  test("an answer is made again", () => {
    open([turn("1", null)]);
    named("Regenerate answer 1").click();
    expect(kernel.last("again")?.turn).toBe("1");
    expect(questions()).toEqual(["question 1"]);
    expect(document.activeElement).toBe(area());
  });

  test("not while another is under way, which is said", () => {
    open([turn("1", null), turn("2", "1", { status: "running" })]);
    named("Regenerate answer 1").click();
    expect(kernel.count("again")).toBe(0);
    expect(note().textContent).toContain("under way");
  });

  test("a suggested question is asked by a click, under the last answer", () => {
    open([turn("1", null, { followups: ["Why?"] })]);
    named("Why?").click();
    expect(kernel.last("send")).toMatchObject({ text: "Why?", parent: "1" });
    expect(document.activeElement).toBe(area());
  });

  test("an approval is decided in the turn's envelope", () => {
    const approvals = [{ approval_id: "a", message: "Buy?", tool: null, arguments: "" }];
    open([turn("1", null, { status: "paused", approvals, can_decide: true })]);
    const approve = [...document.querySelectorAll<HTMLElement>(".agentnb-approvals button")].find(
      (one) => one.textContent?.includes("Approve"),
    );
    approve?.click();
    expect(kernel.heard.at(-1)).toEqual({
      type: "run",
      turn: "1",
      message: { type: "decide", approval_id: "a", approved: true },
    });
  });
});

describe("what is said", () => {
  test("the end of an answer, once, in one region", () => {
    open([turn("1", null, { status: "running" })]);
    kernel.run("1", { op: "run", set: { status: "completed" } });
    frame();
    expect(said()).toBe("Answer complete.");
    expect(document.querySelectorAll(".agentnb-chat > .agentnb-said")).toHaveLength(1);
  });

  test("a failure with its reason", () => {
    open([turn("1", null, { status: "running" })]);
    const error = { message: "503", code: null };
    kernel.run("1", { op: "run", set: { status: "failed", error } });
    frame();
    expect(said()).toBe("The run failed. 503");
  });

  test("nothing of what was there before a view was opened", () => {
    open([turn("1", null, { status: "running" })]);
    kernel.run("1", { op: "run", set: { status: "completed" } });
    frame();
    const second = view();
    expect(find(".agentnb-said", second).textContent).toBe("");
  });

  test("the conversation is one log, which is not read out while it grows", () => {
    open([turn("1", null, { parts: [text("a")] }), turn("2", "1", { parts: [text("b")] })]);
    const logs = document.querySelectorAll("[role=log]");
    expect(logs).toHaveLength(1);
    expect(logs[0]?.getAttribute("aria-live")).toBe("off");
  });
});

describe("a kernel that is gone", () => {
  test("leaves a chat that can be read and not written", () => {
    open([turn("1", null, { status: "running", parts: [text("so")] })]);
    kernel.lose();
    frame();
    expect(note().textContent).toBe(LOST);
    expect(area().readOnly).toBe(true);
    expect(document.querySelector("[data-status=interrupted] .agentnb-answer")?.textContent).toBe(
      "so",
    );
    expect(root().hasAttribute("data-lost")).toBe(true);
    write("why?");
    press("Enter");
    expect(kernel.count("send")).toBe(0);
  });
});

describe("sessions", () => {
  const entry = { title: "t", turns: 2, updated: "2026-01-02T03:04:05Z" };
  const list = [
    { ...entry, key: "a", current: true },
    { ...entry, key: "b", turns: 1, title: "other", current: false },
  ];
  const menu = () => find(".agentnb-chat-sessions");
  const items = () => [...menu().querySelectorAll("button")];
  async function openMenu(): Promise<void> {
    named("Earlier sessions").click();
    kernel.say({ type: "sessions", id: kernel.last("sessions")?.id, sessions: list });
    await vi.waitFor(() => expect(items()).toHaveLength(2));
  }

  test("are listed, gone through by keys, and opened", async () => {
    open([turn("1", null)]);
    await openMenu();
    expect(named("Earlier sessions").getAttribute("aria-expanded")).toBe("true");
    expect(items()[1]?.textContent).toContain("1 question");
    expect(document.activeElement).toBe(items()[0]);
    press("ArrowDown", {}, items()[0]);
    expect(document.activeElement).toBe(items()[1]);
    items()[1]?.click();
    expect(kernel.last("open")?.key).toBe("b");
    expect(menu().hidden).toBe(true);
    expect(document.activeElement).toBe(area());
  });

  test("close on Escape, back to their button", async () => {
    open([turn("1", null)]);
    await openMenu();
    press("Escape", {}, items()[0]);
    expect(menu().hidden).toBe(true);
    expect(document.activeElement).toBe(named("Earlier sessions"));
  });

  test("that can't be told are said to be so", async () => {
    open();
    named("Earlier sessions").click();
    kernel.say({ type: "refused", id: kernel.last("sessions")?.id, message: "no history" });
    await vi.waitFor(() => expect(menu().textContent).toContain("can't"));
  });

  test("a new one is begun, and the composer is ready for it", () => {
    open([turn("1", null)]);
    named("New session").click();
    expect(kernel.count("new")).toBe(1);
    expect(document.activeElement).toBe(area());
  });
});

test("two views of a chat show the same", () => {
  open([turn("1", null)]);
  const second = view();
  write("why?");
  press("Enter");
  expect(find(".agentnb-chat-turn:last-child .agentnb-chat-bubble", second).textContent).toBe(
    "why?",
  );
});

test("a view that is closed leaves nothing behind, and the draft to the next one", () => {
  const first = open([turn("1", null)]);
  write("half a que");
  first.dispose();
  expect(first.element.isConnected).toBe(false);
  const second = view();
  expect(find<HTMLTextAreaElement>("textarea", second).value).toBe("half a que");
  expect(session.draft.text).toBe("half a que");
});
