import { expect, test } from "vitest";
import { eachWithItsOwn, find, open, source, text, tool, visible } from "./harness.js";

eachWithItsOwn();

const rests = () =>
  [...document.querySelectorAll<HTMLElement>(".agentnb-rest")]
    .filter(visible)
    .map((note) => note.textContent);

test("a result that is not all in the page says how much is missing, and where it is", () => {
  const result = "x".repeat(100_000);
  const big = tool({ status: "completed", result, result_more: 9_900_000 });
  open({ parts: [tool(), text("a"), big] });
  const card = document.querySelectorAll<HTMLDetailsElement>(".agentnb-tool")[1];
  if (!card) throw new Error("there is no second card");
  card.open = true;
  card.dispatchEvent(new Event("toggle"));
  expect(rests()).toEqual(["9,900,000 more characters; whole in run.tool_calls[1].result"]);
  const more = [...card.querySelectorAll<HTMLElement>(".agentnb-more")].find(visible);
  expect(more?.textContent).toBe("Show 96,000 more of 10,000,000 characters");
  more?.click();
  expect(card.querySelectorAll("pre")[1]?.textContent).toBe(result);
  expect(more && visible(more)).toBe(false);
  expect(rests()).toHaveLength(1);
});

test("what grows while it is not shown is counted", () => {
  open({ parts: [{ ...text("a"), text_more: 5 } as ReturnType<typeof text>] });
  expect(rests()).toEqual(["5 more characters; whole in run.text"]);
  const [part] = source.run.parts;
  if (part?.kind === "text") part.text_more = 1500;
  source.change({});
  expect(rests()).toEqual(["1,500 more characters; whole in run.text"]);
  source.change({ parts: [text("a")] });
  expect(rests()).toEqual([]);
});

test("a thousand calls are a thousand closed cards, without their texts", () => {
  const parts = Array.from({ length: 1000 }, () =>
    tool({ status: "completed", result: "y".repeat(4000), result_more: 10 }),
  );
  open({ status: "completed", parts });
  expect(document.querySelectorAll(".agentnb-tool")).toHaveLength(1000);
  expect(find(".agentnb-body").textContent).not.toContain("yyy");
});

test("a long error scrolls in a box that the keyboard reaches, a short one needs none", () => {
  open({ status: "failed", error: { message: "Overloaded.", code: null } });
  const message = find(".agentnb-error-message");
  expect(message.hasAttribute("tabindex")).toBe(false);
  source.change({ error: { message: "Overloaded. ".repeat(100), code: null } });
  expect(message.tabIndex).toBe(0);
});
