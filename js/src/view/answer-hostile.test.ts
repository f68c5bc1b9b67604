// Forms for answers to approvals that change, expire, or have hostile schemas.

import { describe, expect, test, vi } from "vitest";
import {
  all,
  control,
  controls,
  enter,
  labels,
  object,
  openForm,
  paused,
  press,
  requested,
  send,
  types,
} from "./answer-harness.js";
import { eachWithItsOwn, find, open, source } from "./harness.js";

eachWithItsOwn();

describe("what was typed", () => {
  const schema = { type: "string" };

  test("stays when the run changes, and when its kernel was away", () => {
    const one = requested(schema);
    open(paused(one));
    enter(0, "x");
    control().focus();
    source.change({ ...paused(one, requested(schema, { key: "2" })), notice: "no" });
    expect([control(0).value, control(1).value]).toEqual(["x", ""]);
    expect(document.activeElement).toBe(control(0));
    source.change({ status: "interrupted" });
    expect(controls()).toEqual([]);
    source.change(paused(one));
    expect(control().value).toBe("x");
  });

  test("is not sent for another request, nor again for the same one", () => {
    open(paused(requested(schema)));
    enter(0, "x");
    source.change(paused(requested(schema, { key: "2", message: "Delete?" })));
    vi.advanceTimersByTime(499);
    enter(0, "y");
    press(control());
    expect(send()).toBeNull();
    vi.advanceTimersByTime(1);
    source.change({ status: "running", approvals: [] });
    source.change(paused(requested(schema)));
    vi.advanceTimersByTime(500);
    expect(control().value).toBe("");
  });

  test("is sent once while the decision is under way", () => {
    open(paused(requested(schema)));
    enter(0, "x");
    source.change({}, { decideState: "sent" });
    press(control());
    expect(send()).toBeNull();
  });
});

describe("the time of expiry", () => {
  const line = () => all(".agentnb-approvals .agentnb-note")[0]?.textContent;

  test("is displayed, and that it has passed", () => {
    vi.setSystemTime(new Date(2026, 10, 22, 14, 5));
    open(paused(requested("", { expires_at: new Date(2026, 10, 22, 14, 6).toISOString() })));
    expect(line()).toBe("Expires at 22 Nov, 14:06");
    vi.advanceTimersByTime(60_000);
    expect(line()).toBe("Expired 22 Nov, 14:06");
  });

  test.each([null, undefined, "", "soon", "__proto__"])("may be missing: %s", (expires_at) => {
    const { expires_at: _, ...others } = requested("");
    open(paused(expires_at === undefined ? others : { ...others, expires_at }));
    expect(line()).toBeUndefined();
  });
});

describe("a hostile schema", () => {
  const MARKUP = '"><img src=//a.example onerror=alert(1)><script>alert(2)</script>\u202e\u200b';
  const deep = (levels: number) => `${'{"properties":{"a":'.repeat(levels)}1${"}}".repeat(levels)}`;
  const properties = (size: number) =>
    object(Object.fromEntries([...Array(size)].map((_, at) => [`key ${at}`, { type: "string" }])));

  test.each([
    "not JSON",
    "null",
    "true",
    "5",
    "[]",
    '"string"',
    "{",
    deep(40),
    deep(50_000),
    "[".repeat(100_000),
    `{"type": "string", "title": "${"x".repeat(1_000_000)}"}`,
    JSON.stringify(properties(31)),
    JSON.stringify(properties(10_000)),
    JSON.stringify({ enum: [...Array(10_000).keys()] }),
    JSON.stringify({ enum: ["x".repeat(1000)] }),
    '{"enum": []}',
    '{"type": 5, "properties": "x"}',
    '{"type": "object", "properties": [1, 2]}',
    '{"type": {"type": "string"}}',
    '{"$ref": "#"}',
    '{"$ref": "#/$defs/__proto__", "$defs": {}}',
    '{"anyOf": [1, null]}',
    '{"anyOf": [{"type": "null"}, {"type": "null"}]}',
  ])("is answered in JSON (%#)", (schema) => {
    const before = performance.now();
    openForm(schema);
    expect(performance.now() - before).toBeLessThan(1000);
    expect([types(), labels()]).toEqual([["textarea"], ["Answer (JSON)"]]);
    expect(send()).toBeNull();
    enter(0, '{"a": 1}');
    expect(send()).toBe('{"a": 1}');
  });

  test("has the fields that it can have", () => {
    openForm(properties(30));
    expect(controls()).toHaveLength(30);
  });

  test("of wrong types has fields for JSON", () => {
    openForm({
      properties: {
        a: { type: "string", title: 5, description: {}, format: [], maxLength: "x" },
        b: { type: "integer", minimum: "1", maximum: 1.5, multipleOf: -1 },
        c: { type: "number", minimum: null, multipleOf: 0 },
        d: { type: ["string", "integer", "null"] },
        e: null,
        f: { enum: "abc" },
      },
      required: "a",
    });
    expect(types()).toEqual(["text", "number", "number", ...Array(3).fill("textarea")]);
    expect([control(1).min, control(1).max, control(1).step]).toEqual(["", "", "1"]);
    expect(send()).toBe("{}");
  });

  test("is text in the page", () => {
    const field = { title: MARKUP, description: MARKUP, enum: [MARKUP, "b"], default: MARKUP };
    openForm(object({ [MARKUP]: field, other: { default: { [MARKUP]: MARKUP } } }));
    const list = find(".agentnb-approvals");
    expect(list.querySelectorAll("img, script, a, form, iframe, [style]")).toHaveLength(0);
    for (const element of list.querySelectorAll("*"))
      for (const { name } of element.attributes) expect(name).not.toMatch(/^on/);
    expect(list.querySelector("label")?.textContent).toContain("⟨U+202E U+200B⟩");
    expect(list.querySelectorAll("option")[1]?.textContent).toContain("<img");
    expect(JSON.parse(send() ?? "")).toEqual({ [MARKUP]: MARKUP, other: { [MARKUP]: MARKUP } });
  });

  test("of inherited names pollutes nothing", () => {
    const names = ["__proto__", "constructor", "toString", ""];
    const list = names.map((name) => `${JSON.stringify(name)}: {"type": "string"}`);
    openForm(`{"properties": {${list.join()}}, "required": ["__proto__"]}`);
    expect(labels()).toEqual(["__proto__ required", "constructor", "toString", "Field"]);
    names.forEach((_, at) => {
      enter(at, "x");
    });
    expect(send()).toBe('{"__proto__": "x", "constructor": "x", "toString": "x", "": "x"}');
    expect({}).not.toHaveProperty("polluted");
  });
});
