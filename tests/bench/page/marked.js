import { marked } from "marked";
import { again } from "./again.js";

window.contenders.marked = again((source) => marked.parse(source));
