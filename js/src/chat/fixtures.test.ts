// What the kernel's side writes is what the page's side makes of it.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { RunState } from "../protocol.js";
import { eachWithItsOwn, kernel } from "./harness.js";
import { type ChatState, isChatMessage, type TurnState } from "./protocol.js";
import { ChatSession } from "./session.js";

interface Fixture {
  name: string;
  messages: unknown[];
  /** The chat, with each turn's run as it is in the end. */
  expected: Omit<ChatState, "turns"> & { turns: (Omit<TurnState, "run"> & { run: RunState })[] };
}

const folder = join(import.meta.dirname, "../../../tests/fixtures/protocol");
const fixtures: Fixture[] = readdirSync(folder)
  .filter((name) => name.startsWith("chat_") && name !== "chat_commands.json")
  .map((name) => JSON.parse(readFileSync(join(folder, name), "utf8")));

eachWithItsOwn();

test("there are fixtures", () => {
  expect(fixtures.map((fixture) => fixture.name)).toContain("branches");
});

test.each(fixtures)("fixture $name", ({ messages, expected }) => {
  const session = new ChatSession(kernel);
  kernel.heard = [];
  for (const message of messages) {
    expect(isChatMessage(message)).toBe(true);
    kernel.say(message);
  }
  // Nothing was missed: nothing is asked for again, but what a run that goes on asks at its start.
  expect(kernel.count("resync")).toBe(0);
  const turns = session.chat.turns.map((turn) => ({ ...turn, run: session.source(turn.id)?.run }));
  expect({ ...session.chat, turns }).toEqual(expected);
  session.dispose();
});
