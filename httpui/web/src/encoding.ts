// The visual encoding: what each state is called and which look it has. The
// looks themselves are in bars.css, one class per look.

/** Look is a CSS class that gives a bar its height, texture and colour. */
export type Look = "cpu" | "runq" | "steal" | "lock" | "net" | "gc" | "sleep" | "covered" | "unknown";

export interface StateStyle {
  /** The text code in bars. */
  code: string;
  /** The words of legends and tables. */
  title: string;
  look: Look;
  /** Whether it is time in which the span did not have a CPU for a known reason. */
  wait: boolean;
}

const STATES: Readonly<Record<string, StateStyle>> = {
  cpu: { code: "CPU", title: "on CPU", look: "cpu", wait: false },
  runnable: { code: "RUNQ", title: "runnable, waiting for a CPU", look: "runq", wait: true },
  steal: { code: "STEAL", title: "descheduled by the kernel", look: "steal", wait: true },
  gc_assist: { code: "GC", title: "GC assist", look: "gc", wait: true },
  stw: { code: "STW", title: "world stopped", look: "gc", wait: true },
  lock: { code: "LOCK", title: "blocked on a lock", look: "lock", wait: true },
  chan: { code: "CHAN", title: "blocked on a channel", look: "lock", wait: true },
  select: { code: "SELECT", title: "blocked in select", look: "lock", wait: true },
  net: { code: "NET", title: "network wait", look: "net", wait: true },
  syscall: { code: "SYS", title: "in a system call", look: "net", wait: true },
  sleep: { code: "SLEEP", title: "sleeping", look: "sleep", wait: true },
  other: { code: "WAIT", title: "other waits", look: "sleep", wait: true },
  covered: { code: "CHILD", title: "covered by child spans", look: "covered", wait: false },
  unknown: { code: "?", title: "unknown (no evidence)", look: "unknown", wait: false },
};

/** STATE_ORDER is the order in which states are listed and stacked. */
export const STATE_ORDER: readonly string[] = Object.keys(STATES);

/** stateStyle gives a state's style; a state that this page does not know looks unknown. */
export function stateStyle(state: string): StateStyle {
  return STATES[state] ?? { code: state.toUpperCase(), title: state, look: "unknown", wait: false };
}

/** byStateOrder sorts states as STATE_ORDER has them, unheard-of ones last. */
export function byStateOrder(a: string, b: string): number {
  const rank = (s: string) => (STATE_ORDER.indexOf(s) + STATE_ORDER.length + 1) % (STATE_ORDER.length + 1);
  return rank(a) - rank(b);
}

/** FULL_BAR and LOW_BAR are the bars' heights in pixels: has or wants a CPU; waits. */
export const FULL_BAR = 18;
export const LOW_BAR = 14;

/** barHeight gives the height of a look's bar in pixels. */
export function barHeight(look: Look): number {
  switch (look) {
    case "cpu":
    case "runq":
    case "steal":
    case "gc":
      return FULL_BAR;
    case "covered":
      return 4;
    default:
      return LOW_BAR;
  }
}

/** MIN_SAMPLES is the number of CPU samples below which no bar shows a proportion. */
export const MIN_SAMPLES = 5;

/** SERVICE_COLOURS is how many service colours service.css has. */
export const SERVICE_COLOURS = 8;

/** serviceColours numbers the services of a trace, in order of appearance. */
export function serviceColours(services: Iterable<string>): Map<string, number> {
  const colours = new Map<string, number>();
  for (const s of services) if (!colours.has(s)) colours.set(s, colours.size % SERVICE_COLOURS);
  return colours;
}
