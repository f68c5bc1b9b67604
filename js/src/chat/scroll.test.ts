import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Follower } from "./scroll.js";

/** A box of 100 px with content of some height, as a browser lays it out. */
let box: HTMLElement;
let height: number;
let top: number;
let grow: () => void;

beforeEach(() => {
  box = document.createElement("div");
  height = 500;
  top = 0;
  Object.defineProperties(box, {
    clientHeight: { get: () => 100 },
    scrollHeight: { get: () => height },
    scrollTop: {
      get: () => top,
      set: (value: number) => {
        top = Math.max(0, Math.min(value, height - 100));
      },
    },
  });
  vi.stubGlobal(
    "ResizeObserver",
    class {
      constructor(callback: () => void) {
        grow = callback;
      }
      observe() {}
      disconnect() {
        grow = () => {};
      }
    },
  );
});

afterEach(() => vi.unstubAllGlobals());

const follow = (changed = vi.fn()) => new Follower(box, document.createElement("div"), changed);
const growTo = (value: number) => {
  height = value;
  grow();
};
const scrollTo = (value: number) => {
  box.scrollTop = value;
  box.dispatchEvent(new Event("scroll"));
};

test("the end is followed while the reader is there", () => {
  follow();
  growTo(600);
  expect(top).toBe(500);
  // Near it is at it.
  scrollTo(480);
  growTo(700);
  expect(top).toBe(600);
});

test("whoever goes up is left where they are, and told that there is more", () => {
  const changed = vi.fn();
  const follower = follow(changed);
  growTo(600);
  scrollTo(400);
  expect(follower.following).toBe(false);
  expect(changed).toHaveBeenCalledTimes(2);
  growTo(900);
  expect(top).toBe(400);
  expect(changed).toHaveBeenCalledTimes(3);
});

test("an end that ran ahead of a scroll event is followed on", () => {
  const follower = follow();
  growTo(600);
  height = 800;
  box.dispatchEvent(new Event("scroll"));
  expect(follower.following).toBe(true);
  grow();
  expect(top).toBe(700);
});

test("going back to the end, by hand or by the button, follows it again", () => {
  const follower = follow();
  growTo(600);
  scrollTo(100);
  scrollTo(490);
  expect(follower.following).toBe(true);
  scrollTo(100);
  follower.end();
  expect(follower.following).toBe(true);
  expect(top).toBe(500);
});

test("after its end it moves nothing", () => {
  const follower = follow();
  follower.dispose();
  growTo(900);
  expect(top).toBe(0);
});
