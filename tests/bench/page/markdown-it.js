import MarkdownIt from "markdown-it";
import { again } from "./again.js";

const parser = new MarkdownIt();
window.contenders["markdown-it"] = again((source) => parser.render(source));
