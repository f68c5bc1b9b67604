import { describe, expect, test } from "vitest";
import { briefDuration, count, dollars, duration } from "./format.js";

describe("durations", () => {
  test.each([
    [-1, "0.0 s"],
    [0, "0.0 s"],
    [0.26, "0.3 s"],
    [59.94, "59.9 s"],
    [59.96, "1 min 00 s"],
    [125, "2 min 05 s"],
    [3599.9, "59 min 59 s"],
    [3840, "1 h 04 min"],
  ])("%d s is %s", (seconds, shown) => {
    expect(duration(seconds)).toBe(shown);
  });

  test("short ones in milliseconds", () => {
    expect(briefDuration(0.0131)).toBe("13 ms");
    expect(briefDuration(0.1)).toBe("0.1 s");
  });
});

test.each([
  [0, "0"],
  [999, "999"],
  [1000, "1,000"],
  [1234567, "1,234,567"],
])("%d is %s", (value, shown) => {
  expect(count(value)).toBe(shown);
});

test.each([
  [0, "$0"],
  [0.0021, "$0.0021"],
  [0.00001, "$0.00001"],
  [0.042, "$0.042"],
  [0.05, "$0.05"],
  [12.5, "$12.50"],
])("%d dollars are %s", (value, shown) => {
  expect(dollars(value)).toBe(shown);
});
