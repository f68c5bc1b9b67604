// Figures of the compared answers, as table cells.

import type { RunState } from "../protocol.js";
import { briefDuration, count, dollars } from "../view/format.js";

/** The part of a run's session that the figures are computed from. */
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

/** Lower is better in each. */
export const FIGURES: readonly Figure[] = [
  { heading: "First token", read: ({ run }) => run.time_to_first_token, write: briefDuration },
  { heading: "Duration", read: ({ elapsed }) => elapsed, write: briefDuration },
  { heading: "Input tokens", read: ({ run }) => run.usage?.input_tokens, write: count },
  { heading: "Output tokens", read: ({ run }) => run.usage?.output_tokens, write: count },
  { heading: "Cost", read: ({ run }) => run.usage?.cost_usd, write: dollars },
];

/** Return each run's cells in the order of `FIGURES`; the best are marked once all runs are final. */
export function figures(runs: readonly Measured[]): Cell[][] {
  const rows: Cell[][] = runs.map(() => []);
  // Incomplete answers are excluded: they were cheap because they ended early.
  const whole = runs.map(({ run }) => run.status === "completed");
  const over = runs.every(({ final }) => final);
  for (const { read, write } of FIGURES) {
    const values = runs.map((run) => read(run) ?? null);
    const counted = values.filter((value, i): value is number => value !== null && !!whole[i]);
    // Compare the formatted values: equal text is a tie for the user.
    const differ = over && new Set(counted.map(write)).size > 1;
    const best = differ ? write(Math.min(...counted)) : null;
    values.forEach((value, i) => {
      const text = value === null ? "–" : write(value);
      rows[i]?.push({ text, best: !!whole[i] && text === best });
    });
  }
  return rows;
}
