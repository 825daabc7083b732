// Completion of the query language: what may stand where the caret is.

/** Suggestions are what the handler knows to complete with. */
export interface Suggestions {
  services: string[];
  operations: { service: string; name: string; count: number }[];
  attributes: { key: string; of: string; count: number; values: string[] | null }[];
  fields: { field: string; takes: string }[];
}

/** Choice is one thing that may be put in place of the text from from to to. */
export interface Choice {
  insert: string;
  label: string;
  hint: string;
}

export interface Completion {
  from: number;
  to: number;
  choices: Choice[];
}

/** MOST is how many choices are shown. */
const MOST = 12;

/** complete gives the choices for the term in which the caret stands. */
export function complete(text: string, caret: number, known: Suggestions): Completion {
  const from = termStart(text, caret);
  const term = text.slice(from, caret);
  const op = /^(!?[\w.:/@-]+?)(!=|!~|\^=|\*=|>=|<=|[=~<>])(.*)$/s.exec(term);
  if (op) return { from: from + op[1]!.length + op[2]!.length, to: caret, choices: values(op[1]!, op[3]!, known) };
  return { from, to: caret, choices: fields(term, known) };
}

/** termStart finds where the term begins that a position is in: blanks in quotes belong to it. */
function termStart(text: string, caret: number): number {
  let start = 0;
  let quote = "";
  for (let i = 0; i < caret; i++) {
    const c = text[i]!;
    if (quote) {
      if (c === "\\" && quote === '"') i++;
      else if (c === quote) quote = "";
    } else if (c === '"' || c === "`") quote = c;
    else if (/\s/.test(c)) start = i + 1;
  }
  return start;
}

function fields(term: string, known: Suggestions): Choice[] {
  const has = /^(!?has:)(.*)$/.exec(term);
  const prefix = has ? has[1]! : "";
  const typed = (has ? has[2]! : term.replace(/^!/, "")).toLowerCase();
  const words = has ? [] : known.fields.map((f) => ({ insert: f.field + operator(f.takes), label: f.field, hint: f.takes }));
  const keys = known.attributes.map((a) => ({
    insert: prefix + (a.of === "resource" ? "resource." : "") + a.key + (has ? " " : "="),
    label: a.of === "resource" ? "resource." + a.key : a.key,
    hint: a.of === "resource" ? "of the resource" : `${a.count} spans`,
  }));
  return best([...words, ...keys], typed, (c) => c.label);
}

/** operator is what a field's first condition begins with; some take none. */
function operator(takes: string): string {
  return /^[=<>]/.exec(takes)?.[0] ?? "";
}

function values(field: string, typed: string, known: Suggestions): Choice[] {
  const text = typed.replace(/^["`]/, "").toLowerCase();
  const choice = (value: string, hint = ""): Choice => ({ insert: quoted(value) + " ", label: value, hint });
  const takes = known.fields.find((f) => f.field === field)?.takes ?? "";
  let all: Choice[] = [];
  if (field === "service") all = known.services.map((s) => choice(s));
  else if (field === "name") all = known.operations.map((o) => choice(o.name, o.service));
  else if (field === "order") all = ["newest", "longest"].map((s) => choice(s));
  else if (field === "kind" || field === "status") all = takes.split(" ").slice(1).map((s) => choice(s));
  else {
    const key = field.replace(/^(span|resource)\./, "");
    for (const a of known.attributes) if (a.key === key) all.push(...(a.values ?? []).map((v) => choice(v)));
  }
  const seen = new Set<string>();
  return best(
    all.filter((c) => !seen.has(c.label) && seen.add(c.label)),
    text,
    (c) => c.label,
  );
}

/** best gives what begins with the text first, then what contains it. */
function best(all: Choice[], text: string, of: (c: Choice) => string): Choice[] {
  const at = (c: Choice) => of(c).toLowerCase().indexOf(text);
  const first = all.filter((c) => at(c) === 0);
  const later = all.filter((c) => at(c) > 0);
  return [...first, ...later].slice(0, MOST);
}

/** quoted writes a value so that the query language reads it as one. */
export function quoted(value: string): string {
  return value !== "" && !/[\s"`]/.test(value) ? value : JSON.stringify(value);
}
