// Bundles the widget for the browser: one ES module and one stylesheet, both minified.
// `node build.mjs --watch` rebuilds on every change.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../agentnb/widgets/static");

/** @type {esbuild.BuildOptions} */
const options = {
  absWorkingDir: here("."),
  // The stylesheet is an entry of its own: anywidget sends the two separately.
  entryPoints: [
    { in: here("src/widget.ts"), out: "widget" },
    { in: here("src/styles.css"), out: "widget" },
  ],
  outdir: target,
  // markdown-it imports it, the option that uses it is off, and it weighs 3 kB gzipped.
  alias: { "linkify-it": here("src/markdown/no-linkify.ts") },
  bundle: true,
  minify: true,
  metafile: true,
  format: "esm",
  platform: "browser",
  // What JupyterLab 4 and Notebook 7 themselves ask of a browser.
  target: ["es2022", "chrome109", "firefox115", "safari16.4"],
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
};

/** The packages whose code went into the bundle, from the paths of the files that did. */
function bundled(metafile) {
  const paths = Object.keys(metafile.inputs);
  const names = paths.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]);
  return [...new Set(names.filter((name) => name !== undefined))].sort();
}

/** Their licences ask to be passed on with the code; the minified file has no room for them. */
async function notices(metafile) {
  const texts = [];
  for (const name of bundled(metafile)) {
    const folder = here(`node_modules/${name}`);
    const { version, license } = JSON.parse(await readFile(`${folder}/package.json`, "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file ? await readFile(`${folder}/${file}`, "utf8") : "";
    texts.push(`${name} ${version} (${license})\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(78)}\n\n`);
}

if (process.argv.includes("--watch")) {
  const context = await esbuild.context(options);
  await context.watch();
} else {
  try {
    const { metafile } = await esbuild.build(options);
    await mkdir(target, { recursive: true });
    await writeFile(`${target}/licenses.txt`, await notices(metafile));
  } catch (error) {
    // What does not compile has been told by esbuild; a stack trace would only bury it.
    if (!("errors" in error)) console.error(error.message);
    process.exitCode = 1;
  }
}
