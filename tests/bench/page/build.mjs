// Bundles what is measured in one page: ours as the views' own bundle has it, and each peer.
// `node build.mjs <folder of the peers' node_modules> <folder for what is built>`

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";

const [peers, outdir] = process.argv.slice(2);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const js = here("../../../js/");
const esbuild = createRequire(join(js, "package.json"))("esbuild");
const aliases = Object.entries(JSON.parse(await readFile(join(js, "alias.json"), "utf8")));

const common = {
  outdir,
  bundle: true,
  minify: true,
  format: "iife",
  platform: "browser",
  target: "chrome109",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
  // As pages are shipped: React takes several times as long without.
  define: { "process.env.NODE_ENV": '"production"' },
};

await esbuild.build({
  ...common,
  entryPoints: [
    here("race.js"),
    here("text.js"),
    { in: here("ours.ts"), out: "ours" },
    { in: join(js, "src/run.css"), out: "ours" },
  ],
  alias: Object.fromEntries(aliases.map(([name, path]) => [name, join(js, path)])),
});
await esbuild.build({
  ...common,
  entryPoints: ["markdown-it", "marked", "streamdown", "streaming-markdown"].map((name) =>
    here(`${name}.js`),
  ),
  nodePaths: [peers],
});
