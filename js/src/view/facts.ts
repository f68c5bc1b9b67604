// The line of metrics at the bottom: usage and times.

import { visibleText } from "../markdown/visible.js";
import type { RunState, Usage } from "../protocol.js";
import { briefDuration, count, dollars, duration } from "./format.js";
import { html, setText, show } from "./html.js";

/** The metrics of a run with their labels, in display order. */
export function facts(run: RunState, final: boolean): { label: string; value: string }[] {
  const found: { label: string; value: string }[] = [];
  const add = (label: string, value: string) => found.push({ label, value });
  if (run.usage) addUsage(run.usage, add);
  if (run.time_to_first_token !== null) add("First token", duration(run.time_to_first_token));
  if (final && run.duration !== null) add("Duration", duration(run.duration));
  if (final && typeof run.platform_duration === "number")
    add("Platform time", briefDuration(run.platform_duration));
  if (run.model) add("Model", visibleText(run.model));
  if (run.custom_events) add("Custom events", count(run.custom_events));
  if (run.raw_events > 0) add("Unknown events", count(run.raw_events));
  return found;
}

function addUsage(usage: Usage, add: (label: string, value: string) => void): void {
  // Cached tokens are part of the input, reasoning tokens part of the output.
  const withPart = (total: number, part: number | undefined, name: string) =>
    part ? `${count(total)} (${count(part)} ${name})` : count(total);
  const { input_tokens, output_tokens, total_tokens, cached_tokens, reasoning_tokens, cost_usd } =
    usage;
  if (input_tokens !== undefined) add("Input", withPart(input_tokens, cached_tokens, "cached"));
  else if (cached_tokens !== undefined) add("Cached input", count(cached_tokens));
  if (output_tokens !== undefined)
    add("Output", withPart(output_tokens, reasoning_tokens, "reasoning"));
  else if (reasoning_tokens !== undefined) add("Reasoning", count(reasoning_tokens));
  if (total_tokens !== undefined) add("Total", `${count(total_tokens)} tokens`);
  if (cost_usd !== undefined) add("Cost", dollars(cost_usd));
}

export class FactsView {
  readonly element = html("dl", { class: "agentnb-facts" });
  #shown = "";

  update(run: RunState, final: boolean): void {
    const list = facts(run, final);
    const key = JSON.stringify(list);
    show(this.element, list.length > 0);
    if (key === this.#shown) return;
    this.#shown = key;
    // Texts are replaced in place, so that the line does not flicker.
    list.forEach(({ label, value }, i) => {
      const row = this.element.children[i] ?? html("div", {}, html("dt"), html("dd"));
      if (!row.isConnected) this.element.append(row);
      if (row.firstChild) setText(row.firstChild, label);
      if (row.lastChild) setText(row.lastChild, value);
    });
    while (this.element.children.length > list.length) this.element.lastChild?.remove();
  }
}
