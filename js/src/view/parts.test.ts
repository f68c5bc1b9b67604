import { describe, expect, test, vi } from "vitest";
import {
  eachWithItsOwn,
  find,
  open,
  reasoning,
  source,
  text,
  tool,
  views,
  visible,
} from "./harness.js";

eachWithItsOwn();

describe("reasoning", () => {
  test("is open while it comes, and closes itself once the answer begins", () => {
    open({ parts: [reasoning("I look")] });
    const details = find<HTMLDetailsElement>(".agentnb-reasoning");
    expect(details.open).toBe(true);
    expect(find("summary", views[0]).textContent).toBe("Reasoning…");
    expect(details.textContent).toContain("I look");
    source.change({ parts: [reasoning("I look it up"), tool()] });
    expect(details.open).toBe(true);
    source.change({ parts: [reasoning("I look it up"), tool(), text("It")] });
    expect(details.open).toBe(false);
    expect(find("summary").textContent).toBe("Reasoning");
  });

  test("stays as the reader put it", () => {
    open({ parts: [reasoning("a")] });
    const details = find<HTMLDetailsElement>(".agentnb-reasoning");
    const summary = find("summary");
    summary.click();
    expect(details.open).toBe(false);
    source.change({ parts: [reasoning("a b")] });
    expect(details.open).toBe(false);
    summary.click();
    source.change({ parts: [reasoning("a b"), text("x")] });
    expect(details.open).toBe(true);
  });

  test("that was closed is drawn when it is opened", () => {
    open({ status: "completed", parts: [reasoning("a **b**"), text("x")] });
    const details = find<HTMLDetailsElement>(".agentnb-reasoning");
    expect(details.querySelector("strong")).toBeNull();
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    expect(details.querySelector("strong")?.textContent).toBe("b");
  });
});

describe("tool calls", () => {
  const card = () => {
    const details = find<HTMLDetailsElement>(".agentnb-tool");
    details.open = true;
    details.dispatchEvent(new Event("toggle"));
    return details;
  };

  test("show name, status, duration, arguments and result", () => {
    open({ parts: [tool()] });
    expect(find(".agentnb-tool-name").textContent).toBe("get_price");
    expect(find(".agentnb-tool-status").textContent).toBe("running");
    expect(find(".agentnb-tool-preview").textContent).toBe('{"symbol":"NVDA"}');
    source.change({
      parts: [
        tool({
          status: "completed",
          finished: 1.42,
          result: '{"price":118.32,"big":12345678901234567890}',
        }),
      ],
    });
    expect(find(".agentnb-tool-status").textContent).toBe("completed");
    expect(find(".agentnb-tool-time").textContent).toBe("0.4 s");
    const [first, second] = card().querySelectorAll("pre");
    expect(first?.textContent).toBe('{\n  "symbol": "NVDA"\n}');
    expect(second?.textContent).toBe('{\n  "price": 118.32,\n  "big": 12345678901234567890\n}');
  });

  test("count up while they run", () => {
    open({ parts: [tool()] });
    source.elapsed = 3.5;
    vi.advanceTimersByTime(100);
    expect(find(".agentnb-tool-time").textContent).toBe("2.5 s");
  });

  test("show their error", () => {
    open({ parts: [tool({ status: "failed", error: "no such symbol" })] });
    expect(find(".agentnb-tool").dataset.status).toBe("failed");
    expect(card().querySelector(".agentnb-tool-error")?.textContent).toBe("no such symbol");
  });

  test("have their result as data, whatever it is", () => {
    const result = "<svg onload=alert(1)></svg> **bold** $$x$$ \u202e";
    open({ parts: [tool({ status: "completed", result })] });
    const pre = card().querySelectorAll("pre")[1];
    expect(pre?.textContent).toBe("<svg onload=alert(1)></svg> **bold** $$x$$ U+202E");
    expect(pre?.querySelector("svg, strong")).toBeNull();
  });

  test("show the first of a long result, and more on demand", () => {
    const result = `${"x".repeat(3999)}👋${"y".repeat(250_000)}`;
    open({ parts: [tool({ status: "completed", result })] });
    const pre = card().querySelectorAll("pre")[1];
    const more = () => find<HTMLButtonElement>(".agentnb-tool-section:nth-child(2) .agentnb-more");
    expect(pre?.textContent).toBe("x".repeat(3999));
    expect(more().textContent).toBe("Show 100,000 more of 254,001 characters");
    more().click();
    expect(pre?.textContent).toHaveLength(104_000);
    more().click();
    expect(more().textContent).toBe("Show all 254,001 characters");
    more().click();
    expect(pre?.textContent).toBe(result);
    expect(visible(more())).toBe(false);
  });
});

describe("the answer", () => {
  test("is Markdown that grows in place", () => {
    open({ parts: [text("It is **up")] });
    const strong = find("strong");
    expect(strong.textContent).toBe("up");
    const [part] = source.run.parts;
    if (part?.kind === "text") part.text += " 1 %** today";
    source.change({});
    expect(find("strong")).toBe(strong);
    expect(find(".agentnb-answer").textContent).toBe("It is up 1 % today");
  });

  test("keeps its nodes when a text goes on after another part", () => {
    open({ parts: [text("a *b"), reasoning("r")] });
    const node = find(".agentnb-answer p");
    source.change({ parts: [text("a *b* c"), reasoning("r")] });
    expect(find(".agentnb-answer p")).toBe(node);
    expect(node.textContent).toBe("a b c");
  });

  test("is replaced when a snapshot says something else", () => {
    open({ parts: [text("wrong"), tool()] });
    source.change({ parts: [tool({ name: "other" })] });
    expect(views[0]?.element.querySelector(".agentnb-answer")).toBeNull();
    expect(find(".agentnb-tool-name").textContent).toBe("other");
    source.change({ parts: [text("right")] });
    expect(find(".agentnb-body").children).toHaveLength(1);
    expect(find(".agentnb-answer").textContent).toBe("right");
  });

  test("is a log that is announced when it is there, not letter by letter", () => {
    open({ parts: [text("a")] });
    const log = find("[role=log]");
    expect(log.getAttribute("aria-live")).toBe("polite");
    expect(log.getAttribute("aria-busy")).toBe("true");
    source.change({ status: "completed" });
    expect(log.getAttribute("aria-busy")).toBe("false");
  });

  test("loads an image only when asked", () => {
    open({ status: "completed", parts: [text('![a chart](https://c.example/i.png "t")')] });
    expect(views[0]?.element.querySelector("img")).toBeNull();
    const button = find<HTMLButtonElement>("button.agentnb-image");
    button.click();
    const image = find<HTMLImageElement>("img");
    expect(image.src).toBe("https://c.example/i.png");
    expect(image.alt).toBe("a chart");
    expect(image.getAttribute("referrerpolicy")).toBe("no-referrer");
  });
});

describe("the end", () => {
  test("a failure shows message and code", () => {
    open({ status: "failed", error: { message: "<b>overloaded</b>\u0007", code: "rate" } });
    expect(find(".agentnb-error-message").textContent).toBe("<b>overloaded</b>⟨U+0007⟩");
    expect(find(".agentnb-error-code").textContent).toBe("rate");
    expect(visible(find(".agentnb-error"))).toBe(true);
  });

  test("a failure without a message is still one", () => {
    open({ status: "failed" });
    expect(find(".agentnb-error-message").textContent).toBe("The run failed.");
  });

  test.each([
    ["cancelled", /Stopped here/],
    ["truncated", /stream ended before/],
    ["interrupted", /went away/],
  ] as const)("%s is marked", (status, note) => {
    open({ status, parts: [text("half")] });
    expect(find(".agentnb-note").textContent).toMatch(note);
    expect(find(".agentnb-answer").textContent).toBe("half");
    expect(visible(find(".agentnb-error"))).toBe(false);
  });

  test("completed says nothing more", () => {
    open({ status: "completed", parts: [text("all")] });
    expect(visible(find(".agentnb-end"))).toBe(false);
  });

  test("followups are a list", () => {
    open({ status: "completed", followups: ["And AMD?", "Why?"] });
    const items = [...(views[0]?.element.querySelectorAll(".agentnb-followups li") ?? [])];
    expect(items.map((item) => item.textContent)).toEqual(["And AMD?", "Why?"]);
  });

  test("what is waited for is shown while it is waited for", () => {
    const approvals = [
      { approval_id: "a", message: "Place the order?", tool: "order", arguments: "{}" },
    ];
    open({ status: "paused", approvals });
    expect(find(".agentnb-approvals").textContent).toBe("Place the order? order");
    source.change({ status: "running" });
    expect(visible(find(".agentnb-approvals"))).toBe(false);
  });

  test("figures: parts of totals are parts, and what wasn't reported isn't there", () => {
    open({
      status: "completed",
      duration: 4.21,
      platform_duration: 3.5,
      time_to_first_token: 1.52,
      model: "demo-1",
      raw_events: 2,
      usage: {
        input_tokens: 1310,
        output_tokens: 88,
        total_tokens: 1398,
        cached_tokens: 1024,
        reasoning_tokens: 40,
        cost_usd: 0.0021,
      },
    });
    const rows = [...find(".agentnb-facts").children].map((row) => [
      row.firstChild?.textContent,
      row.lastChild?.textContent,
    ]);
    expect(rows).toEqual([
      ["Input", "1,310 (1,024 cached)"],
      ["Output", "88 (40 reasoning)"],
      ["Total", "1,398 tokens"],
      ["Cost", "$0.0021"],
      ["First token", "1.5 s"],
      ["Duration", "4.2 s"],
      ["Platform time", "3.5 s"],
      ["Model", "demo-1"],
      ["Unknown events", "2"],
    ]);
    source.change({
      usage: { output_tokens: 0 },
      model: null,
      raw_events: 0,
      time_to_first_token: null,
      platform_duration: null,
    });
    expect(find(".agentnb-facts").textContent).toBe("Output0Duration4.2 s");
  });
});
