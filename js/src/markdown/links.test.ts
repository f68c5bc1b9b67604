import { describe, expect, test } from "vitest";
import { imageAddress, linkAddress, misleads } from "./links.js";

describe("addresses that may be followed", () => {
  test.each([
    ["https://example.com/a?b=c#d", "https://example.com/a?b=c#d", "example.com"],
    ["HTTP://Example.com", "http://example.com/", "example.com"],
    ["https://example.com:8443/", "https://example.com:8443/", "example.com:8443"],
    ["https://github.com@attacker.example/", "https://attacker.example/", "attacker.example"],
    ["https://user:secret@example.com/x", "https://example.com/x", "example.com"],
    ["https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example"],
    ["mailto:someone@example.com", "mailto:someone@example.com", "someone@example.com"],
  ])("%s", (url, href, host) => {
    expect(linkAddress(url)).toEqual({ href, host });
  });
});

describe("addresses that may not", () => {
  test.each([
    "javascript:alert(1)",
    " javascript:alert(1)",
    "java\nscript:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "blob:https://x.example/1",
    "vscode://file/x",
    "//example.com/x",
    "/api/contents",
    "relative/path",
    "#approve",
    "https:example.com",
    "https://",
    "https:// example.com",
    "https://exa\u200bmple.com/",
    "https:\\\\example.com",
    "",
  ])("%j", (url) => {
    expect(linkAddress(url)).toBeNull();
    expect(imageAddress(url)).toBeNull();
  });

  test("an image can't come from a mailbox", () => {
    expect(imageAddress("mailto:a@b.example")).toBeNull();
    expect(imageAddress("https://b.example/i.png")?.host).toBe("b.example");
  });
});

describe("text that names another place", () => {
  test.each([
    ["https://github.com/login", "attacker.example", true],
    ["github.com", "attacker.example", true],
    ["www.github.com/x", "github.com.attacker.example", true],
    ["see https://bank.example now", "attacker.example", true],
    ["github.com", "www.github.com", false],
    ["https://docs.example.com/x", "docs.example.com", false],
    ["example.com", "docs.example.com", true],
    ["https://github.io", "attacker.github.io", true],
    ["help@bank.example", "me@attacker.example", true],
    ["http://127.0.0.1:8888/lab", "attacker.example", true],
    ["localhost:8888", "attacker.example", true],
    ["bank\u2024example", "attacker.example", true],
    ["https:\u2215\u2215bank.example", "attacker.example", true],
    ["https://bank.example@attacker.example/", "attacker.example", true],
    ["https://bank.example https://attacker.example", "attacker.example", true],
    ["bücher.example", "xn--bcher-kva.example", true],
    ["see https://docs.example.com, it says", "docs.example.com", false],
    ["https://docs.example.com.", "docs.example.com", false],
    ["example.com", "example.com:8443", false],
    ["the report", "attacker.example", false],
    ["pandas.DataFrame is described here", "docs.example", false],
    ["someone@example.com", "someone@example.com", false],
  ])("%s to %s: %s", (text, host, expected) => {
    expect(misleads(text, host)).toBe(expected);
  });
});
