// Time series, drawn by uPlot. Each chart stands beside a table of the same figures.

import { useLayoutEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { localTime } from "./format";
import { useWidth } from "./size";

export interface Line {
  label: string;
  /** The custom property that has its colour, and its dashes: lines differ in both. */
  colour: string;
  dash?: number[];
  fill?: boolean;
  values: readonly (number | null)[];
}

interface Props {
  title: string;
  /** Seconds since 1970. */
  times: readonly number[];
  lines: readonly Line[];
  format: (value: number) => string;
  /** A drag over the chart chooses a time. */
  onRange: (from: Date, to: Date) => void;
}

const HEIGHT = 150;

export function Chart({ title, times, lines, format, onRange }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const width = useWidth(box);
  useLayoutEffect(() => {
    const el = box.current;
    if (!el || width <= 0) return;
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      plot = new uPlot(options(el, width, lines, format, onRange), [[...times], ...lines.map((l) => [...l.values])] as uPlot.AlignedData, el);
    };
    draw();
    const theme = new MutationObserver(draw);
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      theme.disconnect();
      dark.removeEventListener("change", draw);
      plot?.destroy();
    };
  }, [width, times, lines]);
  return (
    <figure class="chart">
      <figcaption>
        {title}
        {lines.length > 1 && lines.map((l) => <Key key={l.label} line={l} />)}
      </figcaption>
      <div ref={box} role="img" aria-label={`${title}: the table below has the same figures`} style={{ height: `${HEIGHT}px` }} />
    </figure>
  );
}

function Key({ line }: { line: Line }) {
  return (
    <span class="chart-key">
      <svg width="26" height="8" aria-hidden="true">
        <path d="M0 4h26" stroke-width="2" stroke-dasharray={line.dash?.join(" ")} style={{ stroke: `var(--${line.colour})` }} />
      </svg>
      {line.label}
    </span>
  );
}

/** options has no legend: its words stand beside the title, and hold no markup. */
function options(el: HTMLElement, width: number, lines: readonly Line[], format: Props["format"], onRange: Props["onRange"]): uPlot.Options {
  const colour = (name: string) => {
    const probe = el.appendChild(document.createElement("i"));
    probe.style.color = `var(--${name})`;
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  };
  const grid = { stroke: colour("grid"), width: 1 };
  const font = `11px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: colour("dim"), font, grid, ticks: { show: false } };
  const clock = (s: number, brief: boolean) => {
    const text = localTime(new Date(s * 1000).toISOString());
    return brief ? text.slice(5, 16) : text.slice(11, 19);
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: true, y: false, setScale: false } },
    scales: { x: { time: true }, y: { range: (_, _low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...axis, space: 80, size: 26, values: (_, at) => at.map((s) => clock(s, at.length > 1 && at.at(-1)! - at[0]! > 86_400)) },
      { ...axis, size: 64, values: (_, at) => at.map(format) },
    ],
    series: [
      {},
      ...lines.map((l) => ({
        stroke: colour(l.colour),
        width: 2,
        // A line of one point would not be seen.
        points: { show: l.values.filter((v) => v !== null).length < 3 },
        ...(l.dash ? { dash: l.dash } : {}),
        ...(l.fill ? { fill: colour(l.colour + "-pale") } : {}),
      })),
    ],
    hooks: {
      setSelect: [
        (u) => {
          if (u.select.width < 4) return;
          const at = (px: number) => new Date(u.posToVal(px, "x") * 1000);
          onRange(at(u.select.left), at(u.select.left + u.select.width));
        },
      ],
    },
  };
}
