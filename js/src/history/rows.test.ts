import { describe, expect, test } from "vitest";
import fixture from "../../../tests/fixtures/tables/history.json";
import type { Row } from "./protocol.js";
import { rowView } from "./rows.js";

const row = fixture.snapshot.history.rows[0] as Row;
const errorOf = (changes: Partial<Row>) =>
  rowView({ ...row, ...changes }, "panel").element.querySelector(".agentnb-history-error")
    ?.textContent;

describe("a row", () => {
  test("says why its run failed, and not that one was cancelled", () => {
    expect(errorOf({ status: "failed", error: "No room." })).toBe("No room.");
    expect(errorOf({ status: "cancelled", error: "The run was cancelled." })).toBeUndefined();
  });
});
