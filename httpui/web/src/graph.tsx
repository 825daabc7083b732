// The service graph, as a page of its own.

import { useEffect } from "preact/hooks";
import { useData } from "./api";
import { ErrorView } from "./error";
import { GraphTable, type Graph } from "./graphtable";
import type { ViewProps } from "./lazy";
import { Period } from "./period";
import { pageHref, withFormat } from "./route";

const hrefOf = (params: URLSearchParams) => pageHref("graph", params);

export default function GraphView({ search }: ViewProps) {
  const params = new URLSearchParams(search);
  const { data, failure, reload } = useData<Graph>(hrefOf(params));
  useEffect(() => {
    document.title = "Calls · spanclock";
  }, []);
  return (
    <>
      <h1 class="page-title">Calls between services</h1>
      <div class="status-line">
        <Period params={params} usual="1h" href={hrefOf} />
        <span class="push" />
        <a class="dim" href={withFormat(hrefOf(params), "json")}>
          JSON
        </a>
      </div>
      {data ? <GraphTable graph={data} /> : failure ? <ErrorView failure={failure} onRetry={reload} /> : <p class="loading">Adding up…</p>}
    </>
  );
}
