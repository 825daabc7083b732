// Attributes as tables, grouped by the first part of their names. Everything
// here is text that the traced service took from anywhere.

import { attributeValue } from "./format";
import type { Attribute } from "./types";

/** LONG is the length from which a value is folded, in characters. */
const LONG = 400;

/** grouped sorts attributes by group, then by key. */
export function grouped(attributes: readonly Attribute[]): [group: string, attributes: Attribute[]][] {
  const groups = new Map<string, Attribute[]>();
  for (const a of [...attributes].sort((x, y) => (x.key < y.key ? -1 : x.key > y.key ? 1 : 0))) {
    const dot = a.key.indexOf(".");
    const group = dot > 0 ? a.key.slice(0, dot) : "";
    const list = groups.get(group);
    if (list) list.push(a);
    else groups.set(group, [a]);
  }
  return [...groups].sort(([x], [y]) => (x < y ? -1 : 1));
}

export function Attributes({ attributes, values }: { attributes: readonly Attribute[]; values: boolean }) {
  return (
    <table class="attributes">
      {grouped(attributes).map(([group, list]) => (
        <tbody key={group}>
          {list.map((a) => (
            <tr key={a.key}>
              <th scope="row">{a.key}</th>
              <td>
                <Value attribute={a} values={values} />
              </td>
            </tr>
          ))}
        </tbody>
      ))}
    </table>
  );
}

function Value({ attribute: a, values }: { attribute: Attribute; values: boolean }) {
  if (a.value === undefined && !values) return <span class="dim">hidden</span>;
  const text = attributeValue(a.value);
  if (text === "") return <span class="dim">(empty)</span>;
  const title = a.type ? `type ${a.type}` : undefined;
  if (text.length <= LONG) return <span title={title}>{text}</span>;
  return (
    <details>
      <summary title={title}>
        {text.slice(0, 120)}… ({text.length.toLocaleString("en")} characters)
      </summary>
      {text}
    </details>
  );
}
