// Bundles the widgets for the browser: a small loader that every widget brings along, the code of a
// run's view, and that of all views, each with its stylesheet as text in it. All are minified ES
// modules that need no other.
// `node build.mjs --watch` rebuilds on every change.

import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const target = here("../agentnb/widgets/static");
// What stands in for packages that markdown-it imports, in the tests as well.
const aliases = Object.entries(JSON.parse(await readFile(here("alias.json"), "utf8")));
const BUILT = ["loader.js", "run.js", "widget.js", "licenses.txt"];

// What JupyterLab 4 and Notebook 7 themselves ask of a browser.
const browsers = ["es2022", "chrome109", "firefox115", "safari16.4"];

/** `import text from "./some.css?inline"`: the stylesheet and all that it imports, as vite has it. */
const stylesheets = {
  name: "stylesheets",
  setup(build) {
    build.onResolve({ filter: /\.css\?inline$/ }, ({ path, resolveDir }) => ({
      path: join(resolveDir, path.replace(/\?inline$/, "")),
      namespace: "stylesheet",
    }));
    build.onLoad({ filter: /.*/, namespace: "stylesheet" }, async ({ path }) => {
      const { outputFiles, metafile } = await esbuild.build({
        absWorkingDir: here("."),
        entryPoints: [path],
        bundle: true,
        minify: true,
        write: false,
        metafile: true,
        target: browsers,
        charset: "utf8",
        logLevel: "warning",
      });
      const watchFiles = Object.keys(metafile.inputs).map((input) => here(input));
      return { contents: outputFiles[0].text.trim(), loader: "text", watchFiles };
    });
  },
};

/** @type {esbuild.BuildOptions} */
const options = {
  absWorkingDir: here("."),
  entryPoints: [
    { in: here("src/loader.ts"), out: "loader" },
    { in: here("src/run.ts"), out: "run" },
    { in: here("src/all.ts"), out: "widget" },
  ],
  outdir: target,
  alias: Object.fromEntries(aliases.map(([name, path]) => [name, here(path)])),
  plugins: [stylesheets],
  bundle: true,
  minify: true,
  metafile: true,
  format: "esm",
  platform: "browser",
  target: browsers,
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
    // Everything in this folder is packed, so nothing that an earlier build made may stay.
    for (const name of await readdir(target)) {
      if (!BUILT.includes(name)) await rm(join(target, name), { recursive: true });
    }
  } catch (error) {
    // What does not compile has been told by esbuild; a stack trace would only bury it.
    if (!("errors" in error)) console.error(error.message);
    process.exitCode = 1;
  }
}
