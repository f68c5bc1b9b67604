// Files for an agent: validation, thumbnails, and their content in chunks.

import { isPreview, type Media } from "./protocol.js";

export interface DraftFile {
  readonly id: string;
  readonly file: File;
  preview: string | null;
}

/** A websocket message of more than 10 MiB would close the connection to the kernel. */
const CHUNK = 512 * 1024;
const SIDE = 96;
const PREVIEW_LENGTH = 16_384;
/** Larger images get no thumbnail. */
const DECODED_BYTES = 32 * 1024 * 1024;

/** A new id, unique among all pages. */
export function newId(): string {
  // Not crypto.randomUUID, which is missing on a notebook server reached by plain http.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** "820 B", "1.4 MB". */
export function bytes(size: number): string {
  if (size < 1000) return `${size} B`;
  const [value, unit] = size < 1e6 ? [size / 1e3, "kB"] : [size / 1e6, "MB"];
  return `${value < 10 ? value.toFixed(1).replace(/\.0$/, "") : Math.round(value)} ${unit}`;
}

/** Why a file is not accepted, as one line, or null. `count` files are attached already. */
export function refusal(file: File, media: Media, count: number): string | null {
  if (media.reason !== null) return media.reason;
  if (count >= media.max_count) {
    return `Not attached: ${file.name}. At most ${media.max_count} ${media.max_count === 1 ? "file goes" : "files go"} with a question.`;
  }
  if (file.size > media.max_bytes) {
    return `Not attached: ${file.name} has ${bytes(file.size)}, and at most ${bytes(media.max_bytes)} are taken.`;
  }
  if (media.accept.length > 0 && !media.accept.some((pattern) => matches(file.type, pattern))) {
    return `Not attached: ${file.name}. This agent takes ${media.accept.join(", ")}.`;
  }
  return null;
}

function matches(type: string, pattern: string): boolean {
  if (pattern === "*/*" || pattern === type) return true;
  return pattern.endsWith("/*") && type.startsWith(pattern.slice(0, -1));
}

/** A thumbnail of at most 96 pixels a side as a data URL, or null. */
export async function thumbnail(file: File): Promise<string | null> {
  // An SVG is a document, and not decoded here.
  if (!/^image\/(png|jpeg|webp|gif|avif|bmp)$/.test(file.type)) return null;
  if (file.size > DECODED_BYTES || typeof createImageBitmap !== "function") return null;
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    for (const [type, quality] of [
      ["image/webp", 0.8],
      ["image/jpeg", 0.6],
      ["image/png", 1],
    ] as const) {
      const url = canvas.toDataURL(type, quality);
      if (url.length <= PREVIEW_LENGTH && isPreview(url)) return url;
    }
  } catch {
    // Not an image after all: name and size suffice.
  }
  return null;
}

/** Sends a file's bytes in order; stops if `go` returns false. */
export async function upload(
  { id, file }: DraftFile,
  send: (message: { upload: string; index: number; last: boolean }, buffer: ArrayBuffer) => void,
  go: () => boolean,
): Promise<void> {
  const count = Math.max(1, Math.ceil(file.size / CHUNK));
  for (let index = 0; index < count; index += 1) {
    const piece = await file.slice(index * CHUNK, (index + 1) * CHUNK).arrayBuffer();
    if (!go()) return;
    send({ upload: id, index, last: index === count - 1 }, piece);
  }
}
