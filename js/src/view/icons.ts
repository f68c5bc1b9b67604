// The few pictures that the views use: strokes in the colour of the text beside them.

export type IconName =
  | "queued"
  | "running"
  | "paused"
  | "completed"
  | "failed"
  | "cancelled"
  | "truncated"
  | "interrupted"
  | "stop"
  | "chevron";

const PATHS: Readonly<Record<IconName, string>> = {
  queued: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11zM8 5v3.2l2 1.3",
  running: "M8 2.5a5.5 5.5 0 0 1 5.5 5.5",
  paused: "M6 4.5v7M10 4.5v7",
  completed: "M3.5 8.5l3 3l6-7",
  failed: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  cancelled: "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11zM4.2 4.2l7.6 7.6",
  truncated: "M3 5h10M3 8h6M3 11h3M12 9.5v4M12 15v.01",
  interrupted: "M9 2L5 8.5h5.5L7 14",
  stop: "M4.5 4.5h7v7h-7z",
  chevron: "M6 4l4 4l-4 4",
};

const SVG = "http://www.w3.org/2000/svg";

/** Makes an icon. It is for the eye only; the word beside it says the same. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `agentnb-icon agentnb-icon-${name}`);
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  if (name === "running")
    svg.append(path("M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 0 0 0-11z", "agentnb-track"));
  svg.append(path(PATHS[name]));
  return svg;
}

function path(d: string, className?: string): SVGPathElement {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("d", d);
  if (className) made.setAttribute("class", className);
  return made;
}
