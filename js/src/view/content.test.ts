import { expect, test } from "vitest";
import type { Media, Step } from "../protocol.js";
import { eachWithItsOwn, find, open, source, text, tool, views, visible } from "./harness.js";

eachWithItsOwn();

const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mP8z8BQz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC";

const step = (changes: Partial<Step> = {}): Step => ({
  kind: "step",
  step_id: "s",
  name: "Plan",
  error: null,
  status: "running",
  started: 0,
  finished: null,
  ...changes,
});

const media = (changes: Partial<Media> = {}): Media => ({
  kind: "media",
  url: PIXEL,
  url_more: 0,
  mime_type: "image/png",
  name: null,
  ...changes,
});

test("a step has its status, and its parts are indented", () => {
  open({ parts: [step(), { ...tool(), depth: 1 }, step({ step_id: "t", depth: 1 }), text("x")] });
  const [first, call, second, answer] = [...find(".agentnb-body").children] as HTMLElement[];
  expect(first?.textContent).toContain("Planrunning");
  expect(first?.classList.contains("agentnb-nested")).toBe(false);
  expect(call?.style.getPropertyValue("--agentnb-depth")).toBe("1");
  expect(second?.classList.contains("agentnb-nested")).toBe(true);
  expect(answer?.classList.contains("agentnb-nested")).toBe(false);
  source.change({ parts: [step({ status: "failed", error: "no network", finished: 2 })] });
  expect(find(".agentnb-step").dataset.status).toBe("failed");
  expect(find(".agentnb-step-error").textContent).toBe("no network");
});

test("an image with its content is displayed, and nothing else is loaded", () => {
  open({ parts: [media({ name: "dot.png" })] });
  expect(find<HTMLImageElement>(".agentnb-media img").src).toBe(PIXEL);
  expect(find("figcaption").textContent).toBe("dot.png (image/png)");
  for (const url of [
    "data:image/svg+xml;base64,AAAA",
    "data:text/html;base64,AAAA",
    "javascript:alert(1)",
    "/files/secret.png",
    "",
  ]) {
    source.change({ parts: [media({ url, mime_type: "image/png" })] });
    expect(views[0]?.element.querySelector("img, a, button.agentnb-image")).toBeNull();
    expect(find("figcaption").textContent).toContain("run.media[0].save(path)");
  }
});

test("a remote image is loaded on a click, another file is a link", () => {
  open({ parts: [media({ url: "https://u:p@example.com/a.png" })] });
  expect(views[0]?.element.querySelector("img")).toBeNull();
  const button = find<HTMLButtonElement>("button.agentnb-image");
  expect(button.getAttribute("aria-label")).toBe("Load image image/png from example.com");
  button.click();
  const image = find<HTMLImageElement>(".agentnb-media img");
  expect(image.src).toBe("https://example.com/a.png");
  expect(image.referrerPolicy || image.getAttribute("referrerpolicy")).toBe("no-referrer");
  source.change({
    parts: [media({ url: "https://example.com/a.pdf", mime_type: "application/pdf" })],
  });
  expect(find<HTMLAnchorElement>(".agentnb-media a").href).toBe("https://example.com/a.pdf");
});

test("sources are links where they have a safe address", () => {
  open({
    citations: [
      { url: "https://example.com/a", title: "Example", quote: "a passage" },
      { url: "javascript:alert(1)", title: "<img src=x>", quote: null },
      { url: "https://example.com/b", title: null, quote: null },
    ],
  });
  const items = [...find(".agentnb-sources ol").children];
  expect(items.map((each) => each.textContent)).toEqual([
    "Example (example.com): “a passage”",
    "<img src=x>",
    "https://example.com/b",
  ]);
  expect(items[1]?.querySelector("*")).toBeNull();
  source.change({ citations: [] });
  expect(visible(find(".agentnb-sources"))).toBe(false);
});

test("the state is drawn once it is opened, and follows its changes", () => {
  open({ state: '{"a": 1}', custom_events: 2 });
  const details = find<HTMLDetailsElement>(".agentnb-shared-state");
  expect(details.querySelector("pre")?.textContent).toBe("");
  details.open = true;
  details.dispatchEvent(new Event("toggle"));
  expect(details.querySelector("pre")?.textContent).toContain('"a": 1');
  source.change({ state: '{"a": 2}' });
  expect(details.querySelector("pre")?.textContent).toContain('"a": 2');
  expect(find(".agentnb-facts").textContent).toContain("Custom events2");
  source.change({ state: null });
  expect(visible(details)).toBe(false);
});

test("a refusal is marked as one", () => {
  open({ parts: [{ kind: "refusal", text: "I **won't**.", text_more: 0 }] });
  expect(find(".agentnb-refusal-label").textContent).toBe("The agent refused");
  expect(find(".agentnb-refusal strong").textContent).toBe("won't");
});
