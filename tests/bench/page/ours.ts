// The live view's Markdown, each frame of it drawn: where drawings take long, a view puts some off.

import { Highlighter } from "../../../js/src/markdown/code/highlight.js";
import { MarkdownStream } from "../../../js/src/markdown/stream.js";

interface Contender {
  add(text: string): void;
  end(): void;
  close(): void;
}

declare global {
  interface Window {
    contenders: Record<string, (host: HTMLElement) => Contender>;
  }
}

window.contenders.ours = (host) => {
  const passage = document.createElement("div");
  passage.className = "agentnb-md agentnb-answer";
  const view = document.createElement("div");
  view.className = "agentnb";
  view.append(passage);
  host.append(view);
  const highlighter = new Highlighter();
  const stream = new MarkdownStream(passage, (block) => highlighter.add(block));
  return {
    add(text) {
      stream.append(text);
      stream.draw();
    },
    end: () => stream.finish(),
    close: () => highlighter.dispose(),
  };
};
