import { useLayoutEffect, useRef } from "preact/hooks";
import { FULL_BAR, STATE_ORDER, stateStyle } from "./encoding";
import { css, ink, useInks } from "./paint";
import { shares, type Domain, type Piece } from "./segments";

interface Props {
  pieces: readonly Piece[];
  /** What the pieces are that do not say it themselves. */
  state: string;
  domain: Domain;
  width: number;
}

/** Kinds are the states on the critical path, then those off it. */
const KINDS = 2 * (STATE_ORDER.length + 1);

function kind(state: string, critical: boolean): number {
  const i = STATE_ORDER.indexOf(state);
  return 2 * (i < 0 ? STATE_ORDER.length : i) + (critical ? 0 : 1);
}

/** LaneCanvas paints pieces that are finer than the screen: each pixel column by the shares of its time. */
export function LaneCanvas({ pieces, state, domain, width }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const inks = useInks();
  const w = Math.max(1, Math.floor(width));
  useLayoutEffect(() => {
    const to = canvas.current?.getContext("2d");
    if (!to) return;
    to.clearRect(0, 0, w, FULL_BAR);
    const part = shares(pieces, (p) => kind(p.state ?? state, p.critical), KINDS, domain, w);
    for (let k = 0; k < KINDS; k++) {
      const { fill, pale } = ink(stateStyle(STATE_ORDER[k >> 1] ?? "").look);
      to.fillStyle = css(k % 2 === 0 ? fill : pale);
      for (let x = 0; x < w; x++) {
        const own = part[x * KINDS + k]!;
        if (own <= 0) continue;
        let below = 0;
        for (let j = 0; j < k; j++) below += part[x * KINDS + j]!;
        const bottom = Math.round(FULL_BAR * Math.min(1, below));
        const top = Math.max(bottom + 1, Math.round(FULL_BAR * Math.min(1, below + own)));
        to.fillRect(x, FULL_BAR - top, 1, top - bottom);
      }
    }
  }, [pieces, state, domain, w, inks]);
  return <canvas ref={canvas} class="fine" width={w} height={FULL_BAR} />;
}
