// Answers to approvals by a form: its fields, its validation, and what is sent.

import { describe, expect, test } from "vitest";
import {
  all,
  choose,
  control,
  controls,
  enter,
  errors,
  type Field,
  labels,
  object,
  openForm,
  paused,
  press,
  requested,
  send,
  types,
} from "./answer-harness.js";
import { eachWithItsOwn, find, source } from "./harness.js";

eachWithItsOwn();

describe("fields", () => {
  test("are made for each type of property", () => {
    const schema = object({
      text: { type: "string" },
      long: { type: "string", maxLength: 500 },
      area: { type: "string", format: "textarea" },
      day: { type: "string", format: "date" },
      mail: { type: "string", format: "email" },
      secret: { type: "string", format: "password" },
      odd: { type: "string", format: "constructor" },
      choice: { enum: ["a", 1, null] },
      constant: { const: "x" },
      flag: { type: "boolean" },
      count: { type: "integer", minimum: 1, maximum: 9 },
      amount: { type: "number", multipleOf: 0.01 },
      list: { type: "array" },
      either: { anyOf: [{ type: "string" }, { type: "integer" }] },
      anything: true,
    });
    openForm(schema);
    expect(types()).toEqual([
      ...["text", "textarea", "textarea", "date", "email", "password", "text"],
      ...["select-one", "select-one", "checkbox", "number", "number"],
      ...["textarea", "textarea", "textarea"],
    ]);
    const [count, amount] = [control(10), control(11)];
    expect([count.min, count.max, count.step]).toEqual(["1", "9", "1"]);
    expect([amount.min, amount.max, amount.step]).toEqual(["", "", "0.01"]);
    expect(labels().slice(12)).toEqual(["list JSON", "either JSON", "anything JSON"]);
  });

  test("have a label, a description and a mark if they are required", () => {
    const name = { type: "string", title: "Full name", description: "As in the passport" };
    openForm(object({ name, flag: { type: "boolean" } }, { required: ["name", "flag"] }));
    expect(labels()).toEqual(["Full name required", "flag"]);
    const field = control();
    expect(field.labels?.[0]?.textContent).toBe("Full name required");
    const described = field.getAttribute("aria-describedby")?.split(" ") ?? [];
    expect(document.getElementById(described[0] ?? "")?.textContent).toBe("As in the passport");
    expect(controls().map((one) => one.getAttribute("aria-required"))).toEqual(["true", null]);
    expect(find(".agentnb-answer-fields").getAttribute("role")).toBe("group");
  });

  test.each([
    [{ type: "string" }, "text", "Answer"],
    [{ type: "integer" }, "number", "Answer"],
    [{ type: "boolean" }, "checkbox", "Answer"],
    [{ enum: ["a"] }, "select-one", "Answer"],
    [{ type: ["string", "null"], title: "Other" }, "text", "Answer"],
    [{ type: "array" }, "textarea", "Answer (JSON)"],
    [{ oneOf: [{ type: "string" }, { type: "number" }] }, "textarea", "Answer (JSON)"],
    [{}, "textarea", "Answer (JSON)"],
    [{ type: "object" }, "textarea", "Answer (JSON)"],
    [object({}), "textarea", "Answer (JSON)"],
    [object({ a: {} }, { allOf: [{}] }), "textarea", "Answer (JSON)"],
  ])("of a whole answer: %j", (schema, type, label) => {
    openForm(schema);
    expect([types(), labels()]).toEqual([[type], [label]]);
  });

  test("follow a local reference, but not a second one", () => {
    const $defs = {
      Size: { enum: ["S", "M"], description: "Of the shirt" },
      Again: { $ref: "#/$defs/Again" },
      Other: { $ref: "#/$defs/Size" },
    };
    const properties = {
      size: { $ref: "#/$defs/Size", title: "Shirt" },
      optional: { anyOf: [{ type: "null" }, { $ref: "#/$defs/Size" }] },
      again: { $ref: "#/$defs/Again" },
      other: { $ref: "#/$defs/Other" },
      missing: { $ref: "#/$defs/Missing" },
      remote: { $ref: "https://attacker.example/schema" },
    };
    openForm(object(properties, { $defs }));
    expect(types()).toEqual(["select-one", "select-one", ...Array(4).fill("textarea")]);
    expect(labels().slice(0, 2)).toEqual(["Shirt", "optional"]);
    expect(all(".agentnb-answer-hint").map((hint) => hint.textContent)).toEqual([
      "Of the shirt",
      "Of the shirt",
    ]);
  });

  test("are those of a schema that is a reference", () => {
    openForm({ $ref: "#/$defs/A", $defs: { A: object({ n: { type: "integer" } }) } });
    expect([types(), labels()]).toEqual([["number"], ["n"]]);
  });

  test("are missing without a schema, and where nothing can be decided", () => {
    openForm("");
    expect(controls()).toEqual([]);
    expect(find(".agentnb-approve").textContent).toBe("Approve");
    source.change({ ...paused(requested({ type: "string" })), can_decide: false });
    expect(controls()).toEqual([]);
  });
});

describe("initial values", () => {
  test("are those of the arguments, else the defaults", () => {
    const schema = object({
      city: { type: "string", default: "Bonn" },
      days: { type: "integer", default: 3 },
      fast: { type: "boolean", default: false },
      kind: { enum: ["a", "ü"], default: "a" },
      list: { type: "array", default: [] },
      none: { anyOf: [{ type: "integer" }, { type: "null" }], default: null },
    });
    openForm(schema, {
      arguments: '{"days": 12345678901234567890, "fast": true, "kind": "\\u00fc", "list": [1.50]}',
    });
    expect(control(0).value).toBe("Bonn");
    expect(control(1).value).toBe("12345678901234567890");
    expect(control(2).checked).toBe(true);
    expect((controls()[3] as HTMLSelectElement).selectedOptions[0]?.text).toBe("ü");
    expect(control(4).value).toBe("[\n  1.50\n]");
    expect(control(5).value).toBe("");
    expect(send()).toBe(
      '{"city": "Bonn", "days": 12345678901234567890, "fast": true, "kind": "ü", ' +
        '"list": [1.50], "none": null}',
    );
  });

  test("that a control would change are kept and displayed", () => {
    const schema = object({
      lines: { type: "string" },
      day: { type: "string", format: "date" },
      count: { type: "integer" },
      kind: { enum: ["a"] },
      flag: { type: "boolean" },
      huge: { type: "number" },
    });
    const given =
      '{"lines": "a\\r\\nb", "day": "soon", "count": "many", "kind": "b", "flag": 1, "huge": 1e999}';
    openForm(schema, { arguments: given });
    expect(types()).toEqual(Array(6).fill("textarea"));
    expect(control(0).value).toBe("a\nb");
    expect(controls().map((field) => field.value)).toEqual([
      ...["a\nb", "soon", '"many"', '"b"', "1", "1e999"],
    ]);
    expect(send()).toBe(given);
  });

  test("of a whole answer are the default, or the arguments of a tool", () => {
    openForm({ type: "string", default: "Bonn" });
    expect(send()).toBe('"Bonn"');
    source.change(paused(requested({}, { arguments: '{"a":1}', key: "2" })));
    expect(control().value).toBe("");
    source.change(paused(requested({}, { arguments: '{"a":1}', tool: "t", key: "3" })));
    expect(control().value).toBe('{\n  "a": 1\n}');
  });
});

describe("an answer", () => {
  const schema = object(
    {
      name: { type: "string" },
      count: { type: "integer" },
      ratio: { type: "number" },
      flag: { type: "boolean" },
      size: { enum: ["S", "M", 3] },
      data: { type: "array" },
    },
    { required: ["name"] },
  );

  test("has the values that were entered, and not the others", () => {
    openForm(schema);
    enter(0, 'a "b" \u{1f600}');
    expect(send()).toBe('{"name": "a \\"b\\" \u{1f600}"}');
    enter(1, "12345678901234567890");
    enter(2, ".5");
    enter(3, "true");
    choose(4, "3");
    enter(5, " [1.0, 2e400] ");
    expect(send()).toBe(
      '{"name": "a \\"b\\" \u{1f600}", "count": 12345678901234567890, "ratio": 0.5, ' +
        '"flag": true, "size": 3, "data": [1.0, 2e400]}',
    );
    expect(source.decisions).toEqual([
      ["a", true],
      ["a", true],
    ]);
  });

  test("of one field is its value", () => {
    openForm({ type: "boolean" });
    expect(send()).toBe("false");
    enter(0, "true");
    expect(send()).toBe("true");
  });

  test("distinguishes values that look the same", () => {
    openForm({ enum: ["1", 1] });
    const [, ...options] = [...(controls()[0] as HTMLSelectElement).options];
    expect(options.map((option) => option.text)).toEqual(['"1"', "1"]);
    choose(0, '"1"');
    expect(send()).toBe('"1"');
  });

  test("has null or nothing for an empty field", () => {
    const optional = (type: string, more = {}) => ({
      anyOf: [{ type }, { type: "null" }],
      ...more,
    });
    const properties = {
      a: optional("string"),
      b: optional("integer", { default: 5 }),
      c: optional("boolean", { default: true }),
      d: { type: "string", default: "x" },
      e: { type: "integer", default: 1 },
      f: optional("string", { default: null }),
    };
    openForm(object(properties, { required: ["a"] }));
    expect(types()).toEqual(["text", "number", "select-one", "text", "number", "text"]);
    enter(1, "");
    choose(2, "–");
    enter(3, "");
    enter(4, "");
    expect(send()).toBe('{"a": null, "b": null, "c": null, "d": "", "f": null}');
  });

  test("is denied without a payload, whatever is in the fields", () => {
    openForm(schema);
    enter(1, "1.5");
    expect(find(".agentnb-deny").textContent).toBe("Deny");
    find(".agentnb-deny").click();
    expect([source.decisions, source.payloads]).toEqual([[["a", false]], [undefined]]);
  });

  test("is sent by its button, or by Enter in a field of one line", () => {
    openForm(schema);
    expect(find(".agentnb-approve").textContent).toBe("Send");
    enter(0, "x");
    press(controls()[5] as Field);
    press(control(3));
    press(control(0), { isComposing: true });
    press(control(0), { shiftKey: true });
    press(control(0), { repeat: true });
    expect(source.decisions).toEqual([]);
    press(control(1));
    expect(source.payloads).toEqual(['{"name": "x"}']);
  });
});

describe("an invalid value", () => {
  test("is marked and not sent, and the first has the focus", () => {
    const schema = object(
      {
        flag: { type: "boolean" },
        name: { type: "string" },
        count: { type: "integer", minimum: 1, maximum: 5 },
        tens: { type: "integer", multipleOf: 10 },
        data: {},
        size: { enum: ["S"] },
      },
      { required: ["name", "flag", "size", "data"] },
    );
    openForm(schema);
    enter(2, "9");
    enter(3, "11");
    expect(send()).toBeNull();
    expect(document.activeElement).toBe(control(1));
    expect(errors()).toEqual([
      "",
      "This is required.",
      "Enter 5 or less.",
      "Enter a multiple of 10.",
      "This is required.",
      "This is required.",
    ]);
    const invalid = controls().map((field) => field.getAttribute("aria-invalid"));
    expect(invalid).toEqual([null, ...Array(5).fill("true")]);
    const error = all(".agentnb-answer-error")[1];
    expect(control(1).getAttribute("aria-describedby")).toBe(error?.id);
    enter(1, "x");
    expect([error?.hidden, control(1).hasAttribute("aria-invalid")]).toEqual([true, false]);
    enter(2, "0");
    enter(3, "20");
    enter(4, "{'a': 1}");
    choose(5, "S");
    expect(send()).toBeNull();
    expect(errors()).toEqual(["", "", "Enter 1 or more.", "", "This is not valid JSON.", ""]);
    enter(2, "1.5");
    press(control(2));
    expect(errors()[2]).toBe("Enter a whole number.");
    enter(2, "2");
    enter(4, '{"a": 1}');
    expect(send()).toBe(
      '{"flag": false, "name": "x", "count": 2, "tens": 20, "data": {"a": 1}, "size": "S"}',
    );
  });

  test("may be text that the browser does not return", () => {
    openForm(object({ count: { type: "integer" } }), { tool: "order", arguments: "{}" });
    Object.defineProperty(control(), "validity", { value: { badInput: true } });
    expect(send()).toBeNull();
    expect(errors()).toEqual(["Enter a number."]);
    expect(find<HTMLDetailsElement>(".agentnb-answer-editor").open).toBe(true);
  });

  test("may be too long", () => {
    openForm(object({ a: { type: "string" }, b: { type: "string", format: "textarea" } }));
    enter(1, "x".repeat(99_992));
    expect(send()).toBeNull();
    expect(errors()).toEqual(["", "The answer is longer than 100,000 characters."]);
    enter(1, "x".repeat(99_900));
    expect(send()).toHaveLength(99_909);
  });
});

describe("the arguments of a tool", () => {
  const schema = object({ city: { type: "string" }, days: { type: "integer" } });
  const order = { tool: "order", arguments: '{"id": 12345678901234567890, "city": "Bonn"}' };
  const editor = () => find<HTMLDetailsElement>(".agentnb-answer-editor");

  test("are approved as they are unless they were changed", () => {
    openForm(schema, order);
    expect(editor().open).toBe(false);
    expect(editor().querySelector("summary")?.textContent).toBe("Edit arguments");
    expect(all(".agentnb-decisions button").map((button) => button.textContent)).toEqual([
      "Approve",
      "Deny",
    ]);
    enter(0, "Köln");
    expect(editor().querySelector("summary")?.textContent).toBe("Edit argumentschanged");
    enter(0, "Bonn");
    expect(editor().querySelector("summary")?.textContent).toBe("Edit arguments");
    expect(send()).toBeUndefined();
    expect(source.decisions).toEqual([["a", true]]);
  });

  test("are sent as they were changed, with those that have no field", () => {
    openForm(schema, order);
    enter(0, "Köln");
    enter(1, "2");
    expect(send()).toBe('{"id": 12345678901234567890, "city": "Köln", "days": 2}');
    find(".agentnb-deny").click();
    expect(source.payloads.at(-1)).toBeUndefined();
  });

  test("are not approved by Enter", () => {
    openForm(schema, order);
    editor().open = true;
    enter(0, "Köln");
    press(control(0));
    expect(source.decisions).toEqual([]);
  });

  test("are displayed if they are invalid", () => {
    openForm(object({ data: {} }), { tool: "t", arguments: '{"data": [1]}' });
    enter(0, "[");
    expect(send()).toBeNull();
    expect([editor().open, document.activeElement]).toEqual([true, control()]);
    enter(0, "[2]");
    expect(send()).toBe('{"data": [2]}');
  });
});
