// Metrics of each answer, as cells of a table.

import type { RunState } from "../protocol.js";
import { briefDuration, count, dollars } from "../view/format.js";

/** Input of the table for a run. */
export interface Measured {
  run: RunState;
  elapsed: number;
  final: boolean;
}

export interface Cell {
  text: string;
  best: boolean;
}

interface Figure {
  heading: string;
  read(of: Measured): number | null | undefined;
  write(value: number): string;
}

/** Less is better in each. */
export const FIGURES: readonly Figure[] = [
  { heading: "First token", read: ({ run }) => run.time_to_first_token, write: briefDuration },
  { heading: "Duration", read: ({ elapsed }) => elapsed, write: briefDuration },
  { heading: "Input tokens", read: ({ run }) => run.usage?.input_tokens, write: count },
  { heading: "Output tokens", read: ({ run }) => run.usage?.output_tokens, write: count },
  { heading: "Cost", read: ({ run }) => run.usage?.cost_usd, write: dollars },
];

/**
 * The cells of each run, in the order of `FIGURES`; the best are marked once all runs are final.
 */
export function figures(runs: readonly Measured[]): Cell[][] {
  const rows: Cell[][] = runs.map(() => []);
  // A run that ended early was quick and cheap, but no better.
  const whole = runs.map(({ run }) => run.status === "completed");
  const over = runs.every(({ final }) => final);
  for (const { read, write } of FIGURES) {
    const values = runs.map((run) => read(run) ?? null);
    const counted = values.filter((value, i): value is number => value !== null && !!whole[i]);
    // Values that are formatted alike are equal to a reader.
    const differ = over && new Set(counted.map(write)).size > 1;
    const best = differ ? write(Math.min(...counted)) : null;
    values.forEach((value, i) => {
      const text = value === null ? "–" : write(value);
      rows[i]?.push({ text, best: !!whole[i] && text === best });
    });
  }
  return rows;
}
