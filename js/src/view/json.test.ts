import { describe, expect, test } from "vitest";
import { indentJson, jsonItems, jsonMembers, jsonString } from "./json.js";

describe("JSON is indented", () => {
  test.each([
    ['{"a":1,"b":[1,2]}', '{\n  "a": 1,\n  "b": [\n    1,\n    2\n  ]\n}'],
    ['{ "a" : { } , "b" : [ ] }', '{\n  "a": {},\n  "b": []\n}'],
    ['["a,b","{\\"c\\"}"]', '[\n  "a,b",\n  "{\\"c\\"}"\n]'],
    [
      `{"n":${"9".repeat(40)},"x":1.50,"n":2}`,
      `{\n  "n": ${"9".repeat(40)},\n  "x": 1.50,\n  "n": 2\n}`,
    ],
    [`[${" ".repeat(100)}]`, "[]"],
  ])("%s", (text, shown) => {
    expect(indentJson(text)).toBe(shown);
    expect(JSON.parse(shown)).toEqual(JSON.parse(text));
  });
});

describe("anything else stays as it is", () => {
  test.each([
    "",
    "plain text",
    '"a string"',
    "12",
    '{"a":1',
    '{"n": NaN}',
    '{"a":1} {"b":2}',
    `${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`,
    `[${"[".repeat(70)}${"]".repeat(70)}]`,
    `["${"x".repeat(300_000)}"]`,
  ])("case %#", (text) => {
    expect(indentJson(text)).toBe(text);
  });
});

describe("values keep their text", () => {
  test("of an object", () => {
    const text = ' {"a" : 12345678901234567890, "b:,": "x\\",}" ,"c":{"d":[1,2]},"a":1.50} ';
    expect([...(jsonMembers(text) ?? [])]).toEqual([
      ["a", "1.50"],
      ["b:,", '"x\\",}"'],
      ["c", '{"d":[1,2]}'],
    ]);
    expect(jsonMembers('{"__proto__": 1}')?.get("__proto__")).toBe("1");
    expect(jsonMembers(" { } ")?.size).toBe(0);
  });

  test("of an array", () => {
    expect(jsonItems('[1.0, "a,b" , [2,3], {"c": 4}]')).toEqual([
      "1.0",
      '"a,b"',
      "[2,3]",
      '{"c": 4}',
    ]);
    expect(jsonItems("[]")).toEqual([]);
  });

  test.each([
    "",
    "null",
    '"{}"',
    "{]",
    '{"a"}',
    `${'{"a":'.repeat(70)}1${"}".repeat(70)}`,
    `${'{"a":'.repeat(100_000)}`,
    `{"a": "${"x".repeat(300_000)}"}`,
  ])("but not of other text (%#)", (text) => {
    expect(jsonMembers(text)).toBeNull();
    expect(jsonItems(text)).toBeNull();
  });

  test("and a string is decoded", () => {
    expect(['"a\\u0062"', "1", '"', "", undefined].map((text) => jsonString(text))).toEqual([
      "ab",
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
  });
});
