// The time that a view is about, as the parameters last=, from= and to=.

import { go } from "./route";

const CHOICES: readonly (readonly [value: string, text: string])[] = [
  ["5m", "last 5 minutes"],
  ["15m", "last 15 minutes"],
  ["1h", "last hour"],
  ["6h", "last 6 hours"],
  ["24h", "last 24 hours"],
  ["all", "all there is"],
];

interface Props {
  params: URLSearchParams;
  /** What stands for no choice. */
  usual: string;
  href: (params: URLSearchParams) => string;
}

/** Period is the choice of a time range. One from a drawing, or an address, is shown too. */
export function Period({ params, usual, href }: Props) {
  const fixed = params.has("from") || params.has("to");
  const current = fixed ? "fixed" : (params.get("last") ?? usual);
  const known = CHOICES.some(([value]) => value === current);
  const choose = (value: string) => {
    if (value === "fixed") return;
    const next = new URLSearchParams(params);
    for (const name of ["from", "to", "cursor", "last"]) next.delete(name);
    if (value !== usual) next.set("last", value);
    go(href(next));
  };
  return (
    <label class="period">
      Time
      <select value={current} onChange={(e) => choose(e.currentTarget.value)}>
        {CHOICES.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
        {!known && <option value={current}>{fixed ? "as chosen" : `last ${current}`}</option>}
      </select>
    </label>
  );
}
