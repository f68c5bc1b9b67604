import { afterEach, describe, expect, test, vi } from "vitest";
import { bytes, newId, refusal, thumbnail, upload } from "./attachments.js";

const media = { reason: null, accept: [] as string[], max_bytes: 100, max_count: 1, alone: true };
const file = (type: string, size = 1) => new File(["x".repeat(size)], "a", { type });

describe("what is taken", () => {
  test.each([
    [["image/*"], "image/png", true],
    [["image/*"], "imagery/png", false],
    [["image/png", "text/csv"], "text/csv", true],
    [["text/csv"], "", false],
    [["*/*"], "", true],
    [[], "application/x-anything", true],
  ])("of %j a file of kind %j: %s", (accept, type, taken) => {
    expect(refusal(file(type), { ...media, accept }, 0) === null).toBe(taken);
  });

  test("is bounded in size and number", () => {
    expect(refusal(file("a/b", 100), media, 0)).toBeNull();
    expect(refusal(file("a/b", 101), media, 0)).toContain("101 B");
    expect(refusal(file("a/b"), media, 1)).toContain("At most 1 file goes");
  });
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "1 kB"],
  [1_450, "1.4 kB"],
  [48_200, "48 kB"],
  [5_000_000, "5 MB"],
])("%d bytes are %s", (size, text) => {
  expect(bytes(size)).toBe(text);
});

test("ids are new each time, and nothing but letters and figures", () => {
  const ids = new Set(Array.from({ length: 100 }, newId));
  expect(ids.size).toBe(100);
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{32}$/);
});

describe("uploading", () => {
  const sent = async (size: number, go = () => true) => {
    const parts: [number, boolean, number][] = [];
    const whole = new File([new Uint8Array(size)], "a");
    await upload(
      { id: "u", file: whole, preview: null },
      ({ index, last }, buffer) => parts.push([index, last, buffer.byteLength]),
      go,
    );
    return parts;
  };

  test("goes in pieces of half a MiB, the last one named", async () => {
    expect(await sent(524_288)).toEqual([[0, true, 524_288]]);
    expect(await sent(524_289)).toEqual([
      [0, false, 524_288],
      [1, true, 1],
    ]);
  });

  test("of nothing is one empty piece", async () => {
    expect(await sent(0)).toEqual([[0, true, 0]]);
  });

  test("ends where nobody wants it any more", async () => {
    let count = 0;
    expect(await sent(2_000_000, () => ++count < 2)).toHaveLength(1);
  });
});

describe("a thumbnail", () => {
  afterEach(() => vi.unstubAllGlobals());

  const drawn = (urls: string[]) => {
    const bitmap = { width: 400, height: 200, close: vi.fn() };
    vi.stubGlobal("createImageBitmap", async () => bitmap);
    vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
    const sizes: number[] = [];
    vi.spyOn(HTMLCanvasElement.prototype, "toDataURL").mockImplementation(function (
      this: HTMLCanvasElement,
    ) {
      sizes.push(this.width, this.height);
      return urls.shift() ?? "";
    });
    return sizes;
  };

  test("is at most 96 pixels a side", async () => {
    const sizes = drawn(["data:image/webp;base64,AA"]);
    expect(await thumbnail(file("image/png"))).toBe("data:image/webp;base64,AA");
    expect(sizes).toEqual([96, 48]);
  });

  test("that is too long is made smaller, or left out", async () => {
    const long = `data:image/webp;base64,${"A".repeat(20_000)}`;
    drawn([long, "data:image/jpeg;base64,AA"]);
    expect(await thumbnail(file("image/png"))).toBe("data:image/jpeg;base64,AA");
    drawn([long, long, long]);
    expect(await thumbnail(file("image/png"))).toBeNull();
  });

  test("is not made of what is no picture, or a document", async () => {
    drawn(["data:image/png;base64,AA"]);
    expect(await thumbnail(file("image/svg+xml"))).toBeNull();
    expect(await thumbnail(file("text/csv"))).toBeNull();
    vi.stubGlobal("createImageBitmap", () => Promise.reject(new Error("not a picture")));
    expect(await thumbnail(file("image/png"))).toBeNull();
  });
});
