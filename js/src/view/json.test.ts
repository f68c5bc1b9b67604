import { describe, expect, test } from "vitest";
import { indentJson } from "./json.js";

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
