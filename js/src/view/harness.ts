// A run that tests change by hand, and views of it in a page.

import { afterEach, beforeEach, vi } from "vitest";
import type { EventsPage, Part, RunState, TimelinePage, ToolCall, Waiting } from "../protocol.js";
import type { ClickState, StopState } from "../session.js";
import { emptyRun } from "../transcript.js";
import { type RunSource, RunView, type RunViewOptions } from "./run.js";

/** A run that a test changes by hand. */
export class Source implements RunSource {
  run: RunState = {
    ...emptyRun(),
    title: "finance_agent",
    platform: "operativus",
    status: "running",
  };
  stopState: StopState = "none";
  decideState: ClickState = "none";
  silent = false;
  elapsed = 0;
  waiting: Waiting | null = null;
  stops = 0;
  decisions: [string | null, boolean][] = [];
  /** What was sent with each decision. */
  payloads: (string | undefined)[] = [];
  /** What a view asked for, with the way to answer it. */
  asked: { offset: number; answer(page: EventsPage): void; fail(error: Error): void }[] = [];
  listeners = new Set<() => void>();

  stop(): void {
    this.stops += 1;
  }

  decide(approvalId: string | null, approved: boolean, _key?: string, payload?: string): void {
    this.decisions.push([approvalId, approved]);
    this.payloads.push(payload);
  }

  events(offset: number): Promise<EventsPage> {
    return new Promise((answer, fail) => {
      this.asked.push({ offset, answer, fail });
    });
  }

  /** The same for the timeline. */
  timelines: { answer(page: TimelinePage): void; fail(error: Error): void }[] = [];

  timeline(): Promise<TimelinePage> {
    return new Promise((answer, fail) => {
      this.timelines.push({ answer, fail });
    });
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  change(
    run: Partial<RunState>,
    others: Partial<
      Pick<Source, "stopState" | "decideState" | "silent" | "elapsed" | "waiting">
    > = {},
  ): void {
    Object.assign(this.run, run);
    Object.assign(this, others);
    for (const listener of this.listeners) listener();
  }
}

export const text = (value: string): Part => ({ kind: "text", text: value, text_more: 0 });
export const reasoning = (value: string): Part => ({
  kind: "reasoning",
  text: value,
  text_more: 0,
});
export const tool = (changes: Partial<ToolCall> = {}): ToolCall => ({
  kind: "tool",
  call_id: "c",
  name: "get_price",
  arguments: '{"symbol":"NVDA"}',
  arguments_more: 0,
  result: "",
  result_more: 0,
  error: null,
  status: "running",
  started: 1,
  finished: null,
  ...changes,
});

export let source: Source;
export let views: RunView[];

/** Opens a view of the run, which has these fields. */
export function open(run: Partial<RunState> = {}, options: RunViewOptions = {}): RunView {
  Object.assign(source.run, run);
  const view = new RunView(source, options);
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
