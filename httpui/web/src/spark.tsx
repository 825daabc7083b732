// A line of columns without axes: how something went over time, at a glance.

interface Props {
  values: readonly number[];
  /** The part of each that is bad, drawn in red from below. */
  bad?: readonly number[];
  label: string;
}

const WIDTH = 120;
const HEIGHT = 22;

export function Spark({ values, bad = [], label }: Props) {
  const most = Math.max(...values, 1);
  const w = WIDTH / Math.max(1, values.length);
  const column = (n: number, i: number) => {
    const h = n > 0 ? Math.max(1, (n / most) * HEIGHT) : 0;
    return `M${(i * w).toFixed(1)} ${HEIGHT}v${-h.toFixed(1)}h${Math.max(0.8, w - 0.5).toFixed(1)}v${h.toFixed(1)}z`;
  };
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} width={WIDTH} height={HEIGHT} role="img" aria-label={label} preserveAspectRatio="none">
      <title>{label}</title>
      <path class="good" d={values.map(column).join("")} />
      <path class="bad" d={bad.map((n, i) => (n > 0 ? column(n, i) : "")).join("")} />
    </svg>
  );
}
