// A test is a named function that throws; unit_test.go runs them all in the
// browser and reports each.

export interface Test {
  name: string;
  run: () => void;
}

export const tests: Test[] = [];

export function test(name: string, run: () => void): void {
  tests.push({ name, run });
}

/** same compares by value; spaces that keep a figure and its unit together count as spaces. */
export function same(got: unknown, want: unknown, of = ""): void {
  const text = (v: unknown) => (JSON.stringify(v) ?? String(v)).replaceAll("\u00a0", " ");
  if (text(got) !== text(want)) throw new Error(`${of && of + ": "}got ${text(got)}; want ${text(want)}`);
}

export function ok(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}
