// Renders Markdown as JupyterLab does: its own parser of formulas and its own marked, taken from
// the files that it serves.  Reads a JSON list of texts from standard input, writes one of HTML.
// What it then sanitizes is not, so that the text alone is judged.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { runInThisContext } from "node:vm";

const folder = process.argv[2];
// What is asked of a browser.
globalThis.navigator ??= {};
// Without the line that failed, since a line is a whole file.
process.on("uncaughtException", (error) => {
  process.stderr.write(`${error.name}: ${error.message}\n`);
  process.exit(1);
});

// Modules have numbers that change with every release, so each is found by what is in it.
function load(needle) {
  for (const name of readdirSync(folder)) {
    if (!name.endsWith(".js")) continue;
    const source = readFileSync(join(folder, name), "utf8");
    if (!source.includes(needle)) continue;
    const chunks = [];
    globalThis.self = new Proxy(
      {},
      { get: () => chunks, set: () => true, has: () => true },
    );
    runInThisContext(source);
    for (const [, modules] of chunks) {
      for (const factory of Object.values(modules)) {
        if (!factory.toString().includes(needle)) continue;
        const exports = {};
        const require = () => ({});
        require.d = (target, getters) => {
          for (const key of Object.keys(getters)) {
            Object.defineProperty(target, key, { get: getters[key], enumerable: true });
          }
        };
        require.r = () => {};
        factory({ exports }, exports, require);
        return exports;
      }
    }
  }
  throw new Error(`JupyterLab has no module with ${needle}`);
}

const { Marked } = load("marked(): input parameter is undefined");
const formulas = Object.values(load('.join("").replace(/&/g,"&amp;")'));
const removeMath = formulas.find((one) => one.length === 1);
const replaceMath = formulas.find((one) => one.length === 2);

const marked = new Marked({ gfm: true, breaks: false });
const texts = JSON.parse(readFileSync(0, "utf8"));
const made = texts.map((text) => {
  const { text: rest, math } = removeMath(text);
  try {
    return replaceMath(marked.parse(rest), math);
  } catch (error) {
    // Of what is nested too deep nothing is shown there.
    if (/call stack/.test(error.message)) return "";
    throw error;
  }
});
process.stdout.write(JSON.stringify(made));
