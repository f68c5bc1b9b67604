// Below the answer: the sources that it cites, and the state that the agent shares.

import { linkAddress } from "../markdown/links.js";
import { visibleText } from "../markdown/visible.js";
import type { Citation, RunState } from "../protocol.js";
import { BoundedText } from "./bounded.js";
import { html, show } from "./html.js";
import { icon } from "./icons.js";
import { indentJson } from "./json.js";

export class SourcesView {
  readonly element = html("div", { class: "agentnb-sources" });
  readonly #list = html("ol");
  #drawn = 0;
  #key = "[]";

  constructor() {
    this.element.append(html("div", { class: "agentnb-sources-title" }, "Sources"), this.#list);
  }

  update(run: RunState): void {
    const sources = run.citations ?? [];
    show(this.element, sources.length > 0);
    if (sources.length === this.#drawn && JSON.stringify(sources) === this.#key) return;
    this.#drawn = sources.length;
    this.#key = JSON.stringify(sources);
    this.#list.replaceChildren(...sources.map((source) => html("li", {}, ...item(source))));
  }
}

function item({ url, title, quote }: Citation): (HTMLElement | string)[] {
  const label = visibleText(title || url || "A source");
  const address = linkAddress(url ?? "");
  const rest = quote ? [`: “${visibleText(quote)}”`] : [];
  if (!address) return [label, ...rest];
  const link = html("a", {
    href: address.href,
    target: "_blank",
    rel: "noopener noreferrer nofollow",
  });
  link.append(label);
  return title ? [link, ` (${visibleText(address.host)})`, ...rest] : [link, ...rest];
}

export class StateView {
  readonly #text = new BoundedText("State");
  readonly element = html(
    "details",
    { class: "agentnb-shared-state" },
    html("summary", {}, icon("chevron"), "State"),
    this.#text.element,
  );
  #state: string | null = null;

  constructor() {
    this.element.addEventListener("toggle", () => this.#draw());
  }

  update(run: RunState): void {
    this.#state = run.state ?? null;
    show(this.element, this.#state !== null);
    this.#draw();
  }

  /** A closed state is not rendered. */
  #draw(): void {
    if (this.element.open && this.#state !== null) this.#text.update(indentJson(this.#state));
  }
}
