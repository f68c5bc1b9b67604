import { describe, expect, test, vi } from "vitest";
import { eachWithItsOwn, find, open, source, text, views, visible } from "./harness.js";

eachWithItsOwn();

describe("header", () => {
  test("names agent, platform and status, in words and by an icon", () => {
    open({ status: "queued" });
    expect(find(".agentnb-title").textContent).toBe("finance_agent");
    expect(find(".agentnb-platform").textContent).toBe("operativus");
    expect(find("[role=status]").textContent).toBe("Queued");
    expect(find<SVGElement>(".agentnb-status-icon svg").getAttribute("aria-hidden")).toBe("true");
    expect(views[0]?.element.getAttribute("aria-label")).toBe("Run of finance_agent");
    expect(views[0]?.element.dataset.lmSuppressShortcuts).toBe("true");
  });

  test.each([
    ["running", "Running"],
    ["paused", "Waiting for approval"],
    ["completed", "Completed"],
    ["failed", "Failed"],
    ["cancelled", "Cancelled"],
    ["truncated", "Cut off"],
    ["interrupted", "Interrupted"],
  ] as const)("%s is called %s", (status, word) => {
    open({ status });
    expect(find("[role=status]").textContent).toBe(word);
    expect(find(".agentnb-status-icon svg").classList).toContain(`agentnb-icon-${status}`);
  });

  test("has no Stop where what the view stands in has one", () => {
    open({ status: "running" }, { quiet: true });
    expect(find(".agentnb-stop").hidden).toBe(true);
  });

  test("time counts while the run is live, and stands at its duration afterwards", () => {
    open();
    source.elapsed = 2.34;
    vi.advanceTimersByTime(100);
    expect(find("[role=timer]").textContent).toBe("2.3 s");
    source.change({ status: "completed", duration: 3.06 }, { elapsed: 3.06 });
    source.elapsed = 99;
    vi.advanceTimersByTime(1000);
    expect(find("[role=timer]").textContent).toBe("3.1 s");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("no clock ticks in a hidden tab", () => {
    open();
    const visibility = vi.spyOn(document, "visibilityState", "get");
    const timersWhile = (state: DocumentVisibilityState): number => {
      visibility.mockReturnValue(state);
      document.dispatchEvent(new Event("visibilitychange"));
      return vi.getTimerCount();
    };
    // Views that tests of other files left open have clocks, too.
    expect(timersWhile("hidden")).toBe(0);
    expect(timersWhile("visible")).toBeGreaterThan(0);
    expect(timersWhile("hidden")).toBe(0);
  });
});

describe("Stop", () => {
  test("is there from the moment of sending, and gone at the end", () => {
    open({ status: "queued" });
    const button = find<HTMLButtonElement>(".agentnb-stop");
    expect(visible(button)).toBe(true);
    expect(button.textContent).toBe("Stop");
    expect(button.getAttribute("aria-label")).toBe("Stop finance_agent");
    button.click();
    expect(source.stops).toBe(1);
    source.change({}, { stopState: "sent" });
    expect(button.textContent).toBe("Stopping…");
    source.change({ status: "cancelled" }, { stopState: "seen" });
    expect(visible(button)).toBe(false);
  });

  test("says so when the kernel is busy", () => {
    open();
    source.change({}, { stopState: "unanswered" });
    expect(find(".agentnb-hint").textContent).toMatch(/busy.*■/);
    expect(find(".agentnb-stop").textContent).toBe("Stop again");
    source.change({ status: "cancelled" });
    expect(visible(find(".agentnb-hint"))).toBe(false);
  });

  test("leaves the focus in the view when it goes", () => {
    open();
    find(".agentnb-stop").focus();
    source.change({ status: "completed" });
    expect(document.activeElement).toBe(find(".agentnb-header"));
  });
});

describe("hints", () => {
  test("the kernel's own", () => {
    open({ notice: "The platform asks to wait." });
    expect(find(".agentnb-hint").textContent).toBe("The platform asks to wait.");
  });

  test("a kernel that is silent", () => {
    open();
    expect(visible(find(".agentnb-hint"))).toBe(false);
    source.change({}, { silent: true });
    expect(find(".agentnb-hint").textContent).toMatch(/No word from the kernel/);
  });
});

describe("several views", () => {
  test("of one run show the same, and one can go without the other", () => {
    const first = open({ parts: [text("a")] });
    const second = open();
    source.change({ parts: [text("a b")] });
    expect(find(".agentnb-answer", second).textContent).toBe("a b");
    first.dispose();
    expect(first.element.isConnected).toBe(false);
    source.change({ parts: [text("a b c")] });
    expect(find(".agentnb-answer", second).textContent).toBe("a b c");
    second.dispose();
    expect(source.listeners.size).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });
});
