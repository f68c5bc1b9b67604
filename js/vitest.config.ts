import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import aliases from "./alias.json" with { type: "json" };

const alias = Object.entries(aliases).map(([name, path]) => ({
  find: new RegExp(`^${name}$`),
  replacement: fileURLToPath(new URL(path, import.meta.url)),
}));

export default defineConfig({
  // What is tested is what the bundle has.
  resolve: { alias },
  test: {
    environment: "jsdom",
    // One document for all files of a process: to make one for each takes half of the time.
    isolate: false,
    include: ["src/**/*.test.ts"],
    css: true,
    // Or Node itself would load markdown-it, without the aliases.
    server: { deps: { inline: ["markdown-it"] } },
    restoreMocks: true,
    // The largest inputs take a second; on a busy machine, ten times as long.
    testTimeout: 30_000,
    unstubGlobals: true,
  },
});
