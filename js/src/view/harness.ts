// A run that tests change by hand, and views of it in a page.

import { afterEach, beforeEach, vi } from "vitest";
import type { Part, RunState, ToolCall } from "../protocol.js";
import type { StopState } from "../session.js";
import { emptyRun } from "../transcript.js";
import { type RunSource, RunView } from "./run.js";

/** A run that a test changes by hand. */
export class Source implements RunSource {
  run: RunState = {
    ...emptyRun(),
    title: "finance_agent",
    platform: "operativus",
    status: "running",
  };
  stopState: StopState = "none";
  silent = false;
  elapsed = 0;
  stops = 0;
  listeners = new Set<() => void>();

  stop(): void {
    this.stops += 1;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  change(
    run: Partial<RunState>,
    others: Partial<Pick<Source, "stopState" | "silent" | "elapsed">> = {},
  ): void {
    Object.assign(this.run, run);
    Object.assign(this, others);
    for (const listener of this.listeners) listener();
  }
}

export const text = (value: string): Part => ({ kind: "text", text: value });
export const reasoning = (value: string): Part => ({ kind: "reasoning", text: value });
export const tool = (changes: Partial<ToolCall> = {}): ToolCall => ({
  kind: "tool",
  call_id: "c",
  name: "get_price",
  arguments: '{"symbol":"NVDA"}',
  result: "",
  error: null,
  status: "running",
  started: 1,
  finished: null,
  ...changes,
});

export let source: Source;
export let views: RunView[];

/** Opens a view of the run, which has these fields. */
export function open(run: Partial<RunState> = {}): RunView {
  Object.assign(source.run, run);
  const view = new RunView(source);
  document.body.append(view.element);
  views.push(view);
  return view;
}

/** What a view has by this selector. */
export const find = <T extends Element = HTMLElement>(selector: string, view = views[0]): T => {
  const found = view?.element.querySelector<T>(selector);
  if (!found) throw new Error(`there is no ${selector}`);
  return found;
};
export const visible = (element: HTMLElement): boolean => element.closest("[hidden]") === null;

/** Gives every test of a file a run of its own, and a clock that stands still. */
export function eachWithItsOwn(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    source = new Source();
    views = [];
  });

  afterEach(() => {
    for (const view of views) view.dispose();
    vi.useRealTimers();
    document.body.replaceChildren();
  });
}
