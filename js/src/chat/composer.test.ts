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
  turn,
  write,
} from "./harness.js";

eachWithItsOwn();

const running = () => turn("1", null, { status: "running" });
const png = (size = 10, name = "a.png") =>
  new File(["x".repeat(size)], name, { type: "image/png" });
const root = () => document.querySelector<HTMLElement>(".agentnb-chat") ?? document.body;
const note = () => find(".agentnb-chat-note").textContent;
const cards = () => [...find(".agentnb-chat-composer ul").children].map((card) => card.textContent);

/** Gives files as a paste or a drop does. */
function give(name: "paste" | "drop", files: File[], types = ["Files"]): Event {
  const event = new Event(name, { bubbles: true, cancelable: true });
  const data = { files, types };
  Object.assign(event, { clipboardData: data, dataTransfer: data });
  area().dispatchEvent(event);
  return event;
}

describe("keys", () => {
  test("Enter sends, and the composer keeps the focus and is empty", () => {
    open();
    area().focus();
    write("why?");
    expect(press("Enter").defaultPrevented).toBe(true);
    expect(kernel.last("send")?.text).toBe("why?");
    expect(area().value).toBe("");
    expect(document.activeElement).toBe(area());
  });

  test.each([
    ["Shift+Enter", { shiftKey: true }],
    ["Enter while an input method composes", { isComposing: true }],
    ["Enter that an input method takes, by its number only", { keyCode: 229 }],
  ])("%s does not", (_, init) => {
    open();
    write("why?");
    expect(press("Enter", init).defaultPrevented).toBe(false);
    expect(kernel.count("send")).toBe(0);
    expect(area().value).toBe("why?");
  });

  test("Enter on nothing, or while an answer is under way, sends nothing and loses nothing", () => {
    open([running()]);
    press("Enter");
    expect(find(".agentnb-chat-note").hidden).toBe(true);
    write("why?");
    press("Enter");
    expect(kernel.count("send")).toBe(0);
    expect(area().value).toBe("why?");
    expect(note()).toContain("under way");
  });

  test.each(["keydown", "keyup", "keypress", "paste", "copy", "cut"])("%s stays inside", (name) => {
    open();
    const heard = vi.fn();
    document.body.addEventListener(name, heard);
    area().dispatchEvent(new Event(name, { bubbles: true }));
    expect(heard).not.toHaveBeenCalled();
    document.body.removeEventListener(name, heard);
    expect(root().dataset.lmSuppressShortcuts).toBe("true");
  });

  test.each([
    ["Tab", {}],
    ["c", { ctrlKey: true }],
    ["ArrowUp", {}],
  ])("%s with text is the browser's", (key, init) => {
    open([turn("1", null)]);
    write("some");
    expect(press(key, init).defaultPrevented).toBe(false);
  });
});

describe("editing", () => {
  test("Up in an empty composer edits the last question, Escape brings back what was", () => {
    open([turn("1", null), turn("2", "1")]);
    press("ArrowUp");
    expect(area().value).toBe("question 2");
    expect(find(".agentnb-chat-editing").textContent).toContain("Editing question 2");
    expect(find("[data-editing]").getAttribute("aria-label")).toBe("Question 2");
    press("Escape");
    expect(area().value).toBe("");
    expect(find(".agentnb-chat-editing").hidden).toBe(true);
  });

  test("the button puts the focus here, keeps the draft, and the answer branches", () => {
    open([turn("1", null), turn("2", "1")]);
    write("half");
    named("Edit question 1").click();
    expect(document.activeElement).toBe(area());
    write("other");
    press("Enter");
    expect(kernel.last("send")).toMatchObject({ parent: null, text: "other" });
    expect(questions()).toEqual(["other"]);
    expect(area().value).toBe("half");
  });

  test("the attachments of the old question go along, or are left out", () => {
    const one = turn("1", null);
    one.attachments = [{ name: "old.png", mime_type: null, size: null, preview: null }];
    open([one]);
    named("Edit question 1").click();
    expect(cards()).toEqual(["old.png"]);
    named("Leave out its attachments").click();
    press("Enter");
    expect(kernel.last("send")).not.toHaveProperty("keep");
  });
});

describe("the button", () => {
  test("sends, then stops, in the same place", () => {
    open();
    const go = find<HTMLButtonElement>(".agentnb-chat-go");
    expect(go.getAttribute("aria-disabled")).toBe("true");
    write("why?");
    expect(go.getAttribute("aria-disabled")).toBe("false");
    go.click();
    expect(go.getAttribute("aria-label")).toBe("Stop");
    const id = kernel.begin();
    go.click();
    expect(kernel.heard.at(-1)).toEqual({ type: "run", turn: id, message: { type: "stop" } });
    expect(go.getAttribute("aria-label")).toBe("Stopping…");
    expect(document.activeElement).toBe(area());
    kernel.run(id, { op: "run", set: { status: "cancelled" } });
    vi.advanceTimersByTime(20);
    expect(go.getAttribute("aria-label")).toBe("Send");
    expect(find<HTMLButtonElement>(".agentnb-chat-go")).toBe(go);
  });

  test("is not Stop for the second half of a double click", () => {
    open();
    write("why?");
    const go = find(".agentnb-chat-go");
    go.dispatchEvent(new MouseEvent("click", { detail: 1, bubbles: true }));
    go.dispatchEvent(new MouseEvent("click", { detail: 2, bubbles: true }));
    expect(kernel.heard.some((message) => message.type === "run")).toBe(false);
  });
});

describe("a question that is too long", () => {
  test("stays in the composer, which says so", () => {
    open();
    expect(area().maxLength).toBe(-1);
    write("x".repeat(1_000_001));
    press("Enter");
    expect(kernel.count("send")).toBe(0);
    expect(note()).toContain("1,000,000 characters");
    expect(area().value).toHaveLength(1_000_001);
    write("x".repeat(1_000_000));
    press("Enter");
    expect(kernel.last("send")?.text).toHaveLength(1_000_000);
  });
});

describe("attachments without a question", () => {
  const go = () => find<HTMLButtonElement>(".agentnb-chat-go");

  test("go alone where the platform takes them so", async () => {
    open();
    give("drop", [png()]);
    expect(go().getAttribute("aria-disabled")).toBe("false");
    expect(go().getAttribute("aria-label")).toBe("Send");
    press("Enter");
    await vi.waitFor(() => expect(kernel.last("send")).toMatchObject({ text: "" }));
  });

  test("wait for one where it doesn't, which the button says", () => {
    open([], { media: { ...head.media, alone: false } });
    give("drop", [png()]);
    expect(go().getAttribute("aria-disabled")).toBe("true");
    expect(go().getAttribute("aria-label")).toContain("question");
    press("Enter");
    expect(note()).toContain("question");
    expect(session.draft.files).toHaveLength(1);
    write("what is it?");
    expect(go().getAttribute("aria-disabled")).toBe("false");
    expect(go().getAttribute("aria-label")).toBe("Send");
  });

  test("of an edited question count as well", () => {
    const one = turn("1", null);
    one.attachments = [{ name: "old.png", mime_type: null, size: null, preview: null }];
    open([one]);
    named("Edit question 1").click();
    write("");
    expect(go().getAttribute("aria-disabled")).toBe("false");
    named("Leave out its attachments").click();
    expect(go().getAttribute("aria-disabled")).toBe("true");
  });
});

describe("attachments", () => {
  test("are pasted, dropped, shown and taken off again", () => {
    open();
    expect(give("paste", [png()]).defaultPrevented).toBe(true);
    give("drop", [png(1000, "b.png")]);
    expect(cards()).toEqual(["a.png10 B", "b.png1 kB"]);
    named("Remove a.png").click();
    expect(cards()).toEqual(["b.png1 kB"]);
  });

  test("pasted text stays text, also with a picture of it beside it", () => {
    open();
    expect(give("paste", []).defaultPrevented).toBe(false);
    const office = ["Files", "text/plain", "text/html"];
    expect(give("paste", [png()], office).defaultPrevented).toBe(false);
    expect(cards()).toEqual([]);
    expect(give("paste", [png()], ["Files", "text/plain"]).defaultPrevented).toBe(true);
    expect(cards()).toEqual(["a.png10 B"]);
  });

  test.each([
    ["too large", [png(1001)], "Not attached: a.png has 1 kB, and at most 1 kB are taken."],
    ["too many", [png(1, "1"), png(1, "2"), png(1, "3")], "Not attached: 3. At most 2 files go"],
    [
      "of another kind",
      [new File(["x"], "a.csv", { type: "text/csv" })],
      "This agent takes image/*",
    ],
  ])("%s are refused with the reason", (_, files, reason) => {
    open();
    give("drop", files);
    expect(note()).toContain(reason);
    expect(cards()).toHaveLength(files.length === 3 ? 2 : 0);
  });

  test("are refused where the platform takes none", () => {
    open([], { media: { ...head.media, reason: "operativus does not take attachments." } });
    give("drop", [png()]);
    expect(note()).toBe("operativus does not take attachments.");
    find<HTMLButtonElement>(".agentnb-chat-attach").click();
    expect(find(".agentnb-chat-attach").getAttribute("aria-disabled")).toBe("true");
    expect(session.draft.files).toEqual([]);
  });

  test("a drag over the chat shows where a drop goes", () => {
    open();
    const drag = (name: string, types: string[]) => {
      const event = new Event(name, { bubbles: true, cancelable: true });
      Object.assign(event, { dataTransfer: { types, files: [] } });
      find(".agentnb-chat-log").dispatchEvent(event);
    };
    const shown = () => root().hasAttribute("data-drop");
    drag("dragenter", ["text/plain"]);
    expect(shown()).toBe(false);
    drag("dragenter", ["Files"]);
    expect(shown()).toBe(true);
    drag("dragleave", ["Files"]);
    expect(shown()).toBe(false);
  });

  test("a refused question brings them back", async () => {
    open();
    give("drop", [png()]);
    write("look");
    press("Enter");
    expect(cards()).toEqual([]);
    await vi.waitFor(() => expect(kernel.count("send")).toBe(1));
    kernel.say({ type: "refused", id: kernel.last("send")?.id, message: "no" });
    expect(cards()).toEqual(["a.png10 B"]);
    expect(area().value).toBe("look");
  });
});
