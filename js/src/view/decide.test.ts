// What a server may say of an approval to have something else approved than what is displayed.

import { describe, expect, test, vi } from "vitest";
import type { Approval } from "../protocol.js";
import { eachWithItsOwn, open, source } from "./harness.js";

const all = (selector: string) => [...document.querySelectorAll<HTMLElement>(selector)];
const asked = (changes: Partial<Approval> = {}): Approval => ({
  approval_id: "a",
  message: "May I?",
  tool: "list",
  arguments: '{"path":"."}',
  key: "1",
  changed: false,
  ...changes,
});
const paused = (...approvals: Approval[]) => ({
  status: "paused" as const,
  can_decide: true,
  approvals,
});
const HOSTILE = [
  "[x](javascript:alert(1)) [^1] <https://a.example> https://a.example",
  "[^1]: javascript:alert(1)",
  '<img src=//a.example onerror=alert(1)><button class="agentnb-approve">Approve</button>',
  "</li></ul><script>alert(1)</script>\nApprove\nDeny",
  "user\u202egnp.exe\u2066 ze\u200bro\ufeff \u{e0041}\u{e0042} \u00ad\u180e\u3164",
  "\u001b]0;title\u0007\u001b[2J\u009b31m \b\u007f\u0000\u0085\u2028",
  "half \ud800",
  "__proto__",
  '{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 1}}}',
  "[".repeat(100_000),
  `${'{"a":'.repeat(30_000)}1${"}".repeat(30_000)}`,
  "x".repeat(1_000_000),
  JSON.stringify(Object.fromEntries([...Array(10_000)].map((_, at) => [`key ${at}`, at]))),
];
const UNSEEN =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2060\u2066-\u2069\ufeff\u2028]|[\u{e0000}-\u{e007f}]/u;

eachWithItsOwn();

describe("an approval", () => {
  test.each(HOSTILE)("whose texts are hostile is text (%#)", (hostile) => {
    const one = asked({
      approval_id: hostile,
      message: hostile,
      tool: hostile,
      arguments: hostile,
    });
    const before = performance.now();
    open(paused(one, { ...one, key: "2", changed: true }));
    expect(performance.now() - before).toBeLessThan(1000);
    const list = all(".agentnb-approvals")[0] as HTMLElement;
    expect(list.querySelectorAll("img, script, a, form, input, iframe, [style]")).toHaveLength(0);
    expect(list.querySelectorAll(".agentnb-decisions > button")).toHaveLength(4);
    expect(list.querySelectorAll(".agentnb-approve")).toHaveLength(2);
    for (const element of list.querySelectorAll("*"))
      for (const { name, value } of element.attributes) {
        expect(name).not.toMatch(/^on/);
        expect(value).not.toMatch(UNSEEN);
      }
    expect(list.textContent).not.toMatch(UNSEEN);
    expect({}).not.toHaveProperty("polluted");
    // The beginning of the arguments, and a button for the rest.
    for (const data of all(".agentnb-data")) expect(data.textContent?.length).toBeLessThan(10_000);
    all(".agentnb-approve")[1]?.click();
    expect(source.decisions).toEqual([[hostile, true]]);
  });

  test("that changes is displayed anew, and a click that was on its way decides nothing", () => {
    open(paused(asked()));
    const changed = asked({ arguments: '{"path":"/"}', tool: "remove", key: "2", changed: true });
    const pressed = all(".agentnb-approve")[0];
    source.change(paused(changed));
    expect(all(".agentnb-approvals li")).toHaveLength(1);
    expect(all(".agentnb-approvals")[0]?.textContent).toContain("This has changed");
    expect(all(".agentnb-approvals .agentnb-data")[0]?.textContent).toContain('"/"');
    // What was pressed is not in the page any more; what has its place was not read yet.
    expect(pressed?.isConnected).toBe(false);
    all(".agentnb-approve")[0]?.click();
    expect(source.decisions).toEqual([]);
    vi.advanceTimersByTime(500);
    all(".agentnb-approve")[0]?.click();
    expect(source.decisions).toEqual([["a", true]]);
  });

  test("that takes another's place under the pointer is not decided by its second click", () => {
    open(paused(asked(), asked({ approval_id: "b", key: "2" })));
    all(".agentnb-approve")[0]?.click();
    source.change(paused(asked({ approval_id: "b", key: "2" })));
    all(".agentnb-approve")[0]?.click();
    source.change({ status: "running", approvals: [] });
    source.change(paused(asked({ approval_id: "c", key: "3" })));
    all(".agentnb-approve")[0]?.click();
    expect(source.decisions).toEqual([["a", true]]);
  });

  test("that is joined by another keeps its place, its buttons and what it has open", () => {
    open(paused(asked()));
    const button = all(".agentnb-approve")[0] as HTMLElement;
    button.focus();
    source.change(paused(asked(), asked({ approval_id: "b", key: "2" })));
    expect(document.activeElement).toBe(button);
    button.click();
    expect(source.decisions).toEqual([["a", true]]);
  });

  test("that comes after the end is not there to be decided", () => {
    open({ ...paused(asked()), status: "completed" });
    expect(all(".agentnb-approvals button")).toEqual([]);
  });
});
