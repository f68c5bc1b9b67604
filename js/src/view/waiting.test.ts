import { describe, expect, test, vi } from "vitest";
import type { Waiting } from "../protocol.js";
import { eachWithItsOwn, find, open, source, text, visible } from "./harness.js";

eachWithItsOwn();

const reconnect: Waiting = {
  kind: "reconnect",
  attempt: 2,
  of: 5,
  seconds: 3.2,
  reason: "The connection was reset.",
};
const line = () => find(".agentnb-waiting");
const words = () => find(".agentnb-waiting-words").textContent;
const region = () => find(".agentnb-waiting-words > [role=status]");
const reason = () => find(".agentnb-waiting-reason");

/** Lets the run wait for this, and time go by. */
function wait(waiting: Waiting | null): void {
  source.change({}, { waiting });
}

describe("while nothing comes", () => {
  test("a line below the answer says what is tried, when, and why", () => {
    open({ parts: [text("Half an answer")] });
    expect(line().hasAttribute("data-on")).toBe(false);
    expect(line().textContent).toBe("");
    wait(reconnect);
    expect(line().hasAttribute("data-on")).toBe(true);
    expect(words()).toBe("Reconnecting, 2 of 5, in 4 s");
    expect(reason().textContent).toBe("The connection was reset.");
    expect(find(".agentnb-body").nextElementSibling).toBe(line());
  });

  test("a request that is made again is told as such", () => {
    open({ status: "queued" });
    wait({
      kind: "retry",
      attempt: 1,
      of: 2,
      seconds: 75,
      reason: "Too many requests (429).",
    });
    expect(words()).toBe("Trying again, 1 of 2, in 1 min 15 s");
    expect(reason().textContent).toBe("Too many requests (429).");
  });

  test("the seconds count down, and then the attempt is under way", () => {
    open();
    wait(reconnect);
    source.waiting = { ...reconnect, seconds: 1 };
    vi.advanceTimersByTime(100);
    expect(words()).toBe("Reconnecting, 2 of 5, in 1 s");
    source.waiting = { ...reconnect, seconds: 0 };
    vi.advanceTimersByTime(100);
    expect(words()).toBe("Reconnecting, 2 of 5…");
  });

  test("an attempt is announced once, and the seconds are not", async () => {
    open();
    const said: string[] = [];
    const observer = new MutationObserver(() => said.push(region().textContent ?? ""));
    observer.observe(region(), { childList: true, characterData: true, subtree: true });
    wait(reconnect);
    await Promise.resolve();
    for (const seconds of [2, 1, 0]) {
      source.waiting = { ...reconnect, seconds };
      vi.advanceTimersByTime(100);
      await Promise.resolve();
    }
    wait({ ...reconnect, attempt: 3 });
    await Promise.resolve();
    observer.disconnect();
    expect(said).toEqual(["Reconnecting, 2 of 5", "Reconnecting, 3 of 5"]);
    expect(find(".agentnb-waiting-left").getAttribute("aria-live")).toBe("off");
  });

  test("a view inside one that announces it says nothing itself", () => {
    open({}, { quiet: true });
    wait(reconnect);
    expect(words()).toContain("Reconnecting, 2 of 5");
    expect(line().querySelector("[role=status]")).toBeNull();
  });

  test("the region is there before it has something to say", () => {
    open();
    const before = region();
    expect(visible(before)).toBe(true);
    wait(reconnect);
    expect(region()).toBe(before);
  });

  test("Stop is there all the time", () => {
    open();
    wait(reconnect);
    const stop = find<HTMLButtonElement>(".agentnb-stop");
    expect(visible(stop)).toBe(true);
    stop.click();
    expect(source.stops).toBe(1);
    source.change({ status: "cancelled" }, { waiting: null });
    expect(line().textContent).toBe("");
    expect(find(".agentnb-end").textContent).toContain("Stopped");
  });

  test("it goes when something comes", () => {
    open();
    wait(reconnect);
    wait(null);
    expect(line().hasAttribute("data-on")).toBe(false);
    expect(line().textContent).toBe("");
    expect(visible(reason())).toBe(false);
  });
});

describe("what others wrote", () => {
  test("is text in the reason, too", () => {
    open();
    wait({ ...reconnect, reason: "<b onclick=alert(1)>Click</b> \u202e" });
    expect(reason().textContent).toBe("<b onclick=alert(1)>Click</b> ⟨U+202E⟩");
    expect(reason().querySelector("b")).toBeNull();
  });

  test("cannot look like this line: an answer has no such element", () => {
    const fake =
      '<div class="agentnb-waiting" data-on><p class="agentnb-waiting-words">Reconnecting, 1 of 1' +
      '</p></div>\n\n<button class="agentnb-button agentnb-stop">Stop</button>\n\n' +
      "[x](javascript:alert(1)){.agentnb-waiting}\n\n```agentnb-waiting\nx\n```\n";
    open({ status: "completed", parts: [text(fake)] });
    const body = find(".agentnb-body");
    expect(body.querySelector(".agentnb-waiting, .agentnb-stop, [data-on]")).toBeNull();
    expect(body.textContent).toContain('<div class="agentnb-waiting" data-on>');
    expect(visible(find(".agentnb-stop"))).toBe(false);
  });
});
