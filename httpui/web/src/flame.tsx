// Where CPU time went and where was waited, over many requests.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useData } from "./api";
import { MIN_SAMPLES } from "./encoding";
import { FlameChart } from "./flamechart";
import { byFunction, flameTree, matched, matcher, type FlameStack, type Kind, type Node } from "./flametree";
import { count, cpuText, duration, percent, shortFunc } from "./format";
import { isTyping } from "./header";
import type { ViewProps } from "./lazy";
import { Again, Outcome } from "./loaded";
import { Problems } from "./notes";
import { Period } from "./period";
import { go, pageHref } from "./route";
import { partsOf, StateBar } from "./statebar";
import type { CPU, Evidence, Frame } from "./types";

/** Group is an operation, a route, or either in one build. Times are means of one span, or of one request of a route. */
interface Group {
  service: string;
  name: string;
  revision: string;
  spans: number;
  exact_spans: number;
  wall_ns: number;
  cpu_ns: number;
  cpu_low_ns: number;
  cpu_high_ns: number;
  samples?: number;
  evidence: Evidence;
  states: Record<string, number> | null;
  p99_wall_ns: number;
}

interface Flame {
  groups: Group[] | null;
  frames: Frame[] | null;
  stacks: FlameStack[] | null;
  problems: string[] | null;
}

const hrefOf = (params: URLSearchParams) => pageHref("flame", params);

/** dataHref is what is asked for: without what the page alone understands. */
function dataHref(params: URLSearchParams): string {
  const asked = new URLSearchParams(params);
  asked.set("by", params.get("by") ?? "route");
  asked.delete("kind");
  if (!["from", "to", "last"].some((name) => params.has(name))) asked.set("last", "1h");
  return hrefOf(asked);
}

export default function FlameView({ search }: ViewProps) {
  const params = new URLSearchParams(search);
  const href = dataHref(params);
  const loaded = useData<Flame>(href);
  const { data } = loaded;
  useEffect(() => {
    document.title = "Flame graph · spanclock";
  }, []);
  return (
    <>
      <h1 class="page-title">Flame graph</h1>
      <div class="status-line">
        <Period params={params} usual="1h" href={hrefOf} />
        <Choice params={params} name="kind" title="Of" usual="cpu" choices={[["cpu", "CPU time"], ["wait", "waiting"]]} />
        <Choice params={params} name="by" title="By" usual="route" choices={[["route", "route"], ["name", "operation"], ["build", "build"]]} />
        {["service", "name"].map((name) => params.has(name) && <Without key={name} params={params} name={name} />)}
        <Again href={href} from={loaded} />
      </div>
      <Outcome of={loaded} waiting="Adding up…" />
      {data && <Graph data={data} params={params} />}
    </>
  );
}

interface ChoiceProps {
  params: URLSearchParams;
  name: string;
  title: string;
  usual: string;
  choices: [value: string, text: string][];
}

function Choice({ params, name, title, usual, choices }: ChoiceProps) {
  const choose = (value: string) => {
    const next = new URLSearchParams(params);
    if (value === usual) next.delete(name);
    else next.set(name, value);
    go(hrefOf(next));
  };
  return (
    <label class="period">
      {title}
      <select value={params.get(name) ?? usual} onChange={(e) => choose(e.currentTarget.value)}>
        {choices.map(([value, text]) => (
          <option key={value} value={value}>
            {text}
          </option>
        ))}
      </select>
    </label>
  );
}

function Without({ params, name }: { params: URLSearchParams; name: string }) {
  const next = new URLSearchParams(params);
  next.delete(name);
  return (
    <span>
      {name} <strong>{params.get(name)}</strong> <a href={hrefOf(next)}>all</a>
    </span>
  );
}

function Graph({ data, params }: { data: Flame; params: URLSearchParams }) {
  const kind: Kind = params.get("kind") === "wait" ? "wait" : "cpu";
  const [group, setGroup] = useState(-1);
  const groups = data.groups ?? [];
  const chosen = group < groups.length ? group : -1;
  const stacks = useMemo(() => (data.stacks ?? []).filter((s) => s.kind === kind && (chosen < 0 || s.group === chosen)), [data, kind, chosen]);
  const root = useMemo(() => flameTree(stacks, data.frames ?? []), [stacks]);
  return (
    <>
      <Problems problems={data.problems ?? []} />
      {root.ns > 0 ? <Searched root={root} kind={kind} /> : <Empty kind={kind} any={(data.stacks ?? []).length > 0} params={params} />}
      <Groups groups={groups} chosen={chosen} onChoose={setGroup} />
    </>
  );
}

function Empty({ kind, any, params }: { kind: Kind; any: boolean; params: URLSearchParams }) {
  const every = new URLSearchParams(params);
  for (const name of ["service", "name"]) every.delete(name);
  return (
    <section class="notice">
      <h2>{kind === "cpu" ? "No CPU samples" : "No waits"} in this time</h2>
      <p>
        {kind === "cpu"
          ? "Samples come from the profiler, some seconds after the work. If none come: is it running (see Health), and does the program use its tracer provider?"
          : "Where was waited is known of requests that an execution trace was taken of: set profiler.Options.Exact, or capture a request from Live."}
        {any && " Choose the other kind of time above: there is some."}
        {!any && every.size < params.size && (
          <>
            {" "}
            Only the service or name above was looked at: <a href={hrefOf(every)}>look at all</a>.
          </>
        )}
      </p>
    </section>
  );
}

/** Searched is the graph and its table, with the functions that are looked for. */
function Searched({ root, kind }: { root: Node; kind: Kind }) {
  const [text, setText] = useState("");
  const input = useRef<HTMLInputElement>(null);
  const match = useMemo(() => matcher(text), [text]);
  useEffect(() => {
    const onKey = (e: KeyboardEvent) => {
      if (e.key !== "/" || e.ctrlKey || e.metaKey || e.altKey || isTyping(e.target)) return;
      e.preventDefault();
      input.current?.focus();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  }, []);
  const clear = () => {
    setText("");
    return text !== "";
  };
  const found = match ? matched(root, match) : 0;
  return (
    <>
      <div class="status-line">
        <label class="period">
          Search
          <input
            ref={input}
            value={text}
            placeholder="function, or /expression/"
            spellcheck={false}
            autocomplete="off"
            onInput={(e) => setText(e.currentTarget.value)}
            onKeyDown={(e) => e.key === "Escape" && clear()}
          />
        </label>
        {match && (
          <span role="status">
            {duration(found)}, {percent(found, root.ns)} of the time {found > 0 ? "in what matches or was called by it" : ": nothing matches"}
          </span>
        )}
      </div>
      <div class="flame-beside">
        <div class="flame-main">
          <FlameChart root={root} kind={kind} match={match} onClear={clear} />
        </div>
        <Functions root={root} kind={kind} match={match} onFind={(func) => setText(func)} />
      </div>
    </>
  );
}

/** SHOWN is how many functions the table has. */
const SHOWN = 100;

interface FunctionsProps {
  root: Node;
  kind: Kind;
  match: ((func: string) => boolean) | undefined;
  onFind: (func: string) => void;
}

function Functions({ root, kind, match, onFind }: FunctionsProps) {
  const all = useMemo(() => byFunction(root), [root]);
  const shown = match ? all.filter((f) => match(f.func)) : all;
  return (
    <div class="flame-table" role="region" aria-label="Functions" tabIndex={0}>
      <table class="figures calls">
        <thead>
          <tr>
            <th scope="col">Function</th>
            <th scope="col" class="num">Own</th>
            <th scope="col" class="num">With callees</th>
            <th scope="col" class="num">{kind === "cpu" ? "Samples" : "Waits"}</th>
          </tr>
        </thead>
        <tbody>
          {shown.slice(0, SHOWN).map((f) => (
            <tr key={f.func}>
              <td>
                <button type="button" class="stack-button mono plain" onClick={() => onFind(f.func)} title={f.func}>
                  {shortFunc(f.func)}
                </button>
              </td>
              <td class="num">{duration(f.self)}</td>
              <td class="num">
                {duration(f.total)} <span class="dim">{percent(f.total, root.ns)}</span>
              </td>
              <td class="num">{f.count.toLocaleString("en")}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {shown.length > SHOWN && <p class="dim">{count(shown.length - SHOWN, "more function")}: search for them.</p>}
    </div>
  );
}

/** GROUPS is how many groups are listed. */
const GROUPS = 60;

function Groups({ groups, chosen, onChoose }: { groups: Group[]; chosen: number; onChoose: (group: number) => void }) {
  if (groups.length === 0) return null;
  return (
    <section>
      <h2 class="part-title">
        Groups{" "}
        {chosen >= 0 && (
          <button type="button" class="small" onClick={() => onChoose(-1)}>
            Show all in the graph
          </button>
        )}
      </h2>
      <div class="table-box">
        <table class="figures calls">
          <thead>
            <tr>
              <th scope="col">Group</th>
              <th scope="col" class="num">Spans</th>
              <th scope="col" class="num">Mean wall</th>
              <th scope="col" class="num">p99</th>
              <th scope="col" class="num">Mean CPU</th>
              <th scope="col">Evidence</th>
              <th scope="col">States</th>
            </tr>
          </thead>
          <tbody>
            {groups.slice(0, GROUPS).map((g, i) => (
              <GroupRow key={i} group={g} chosen={i === chosen} onChoose={() => onChoose(i === chosen ? -1 : i)} />
            ))}
          </tbody>
        </table>
      </div>
      {groups.length > GROUPS && <p class="dim">{count(groups.length - GROUPS, "more group")}: choose a service or a shorter time.</p>}
    </section>
  );
}

function GroupRow({ group: g, chosen, onChoose }: { group: Group; chosen: boolean; onChoose: () => void }) {
  const cpu = cpuText({ ...g, samples: g.samples ?? MIN_SAMPLES } as CPU);
  const title = [g.service, g.name, g.revision && g.revision.slice(0, 12)].filter(Boolean).join(" · ");
  return (
    <tr>
      <td>
        <button type="button" class="stack-button plain" aria-pressed={chosen} onClick={onChoose} title="Show this group alone">
          {title || "(no name)"}
        </button>
      </td>
      <td class="num">{g.spans.toLocaleString("en")}</td>
      <td class="num">{duration(g.wall_ns)}</td>
      <td class="num">{duration(g.p99_wall_ns)}</td>
      <td class="num" title={cpu.title}>
        {cpu.figure} <span class="dim">{cpu.interval}</span>
      </td>
      <td class="dim">
        {g.evidence}
        {g.exact_spans > 0 && `, ${count(g.exact_spans, "span")} exact`}
      </td>
      <td class="group-states">{g.states && <StateBar parts={partsOf(g.states)} />}</td>
    </tr>
  );
}
