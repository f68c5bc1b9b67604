// Icons of the views: strokes in the colour of the adjacent text.

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
  | "chevron"
  | "copy"
  | "send"
  | "end"
  | "attach"
  | "edit"
  | "again"
  | "previous"
  | "plus"
  | "close"
  | "file";

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
  copy: "M6 5.5h7v8h-7zM3 10.5v-8h7",
  send: "M8 13V3.5M4 7.5l4-4l4 4",
  end: "M8 3v9.5M4 8.5l4 4l4-4",
  attach:
    "M12.5 7.5l-5 5a3 3 0 0 1-4.3-4.3l5.4-5.4a2 2 0 0 1 2.9 2.9l-5.3 5.3a1 1 0 0 1-1.5-1.4l4.6-4.6",
  edit: "M10.6 3.1l2.3 2.3L5.6 12.7l-3 .7l.7-3z",
  again: "M13 8a5 5 0 1 1-1.6-3.7M13 2v3.2H9.8",
  previous: "M10 4L6 8l4 4",
  plus: "M8 3.5v9M3.5 8h9",
  close: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  file: "M4 2.5h5l3 3v8H4zM9 2.5v3h3",
};

const SVG = "http://www.w3.org/2000/svg";

/** Creates an icon, hidden from screen readers. */
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
