// The page: a header, and the view that the address names.

import { render } from "preact";
import { ErrorView } from "./error";
import { Header } from "./header";
import { lazy } from "./lazy";
import { ListView } from "./list";
import { pageHref, useRoute, type Route } from "./route";
import { TraceView } from "./trace";
import { useData } from "./api";

const Live = lazy(() => import("./live"));
const Overview = lazy(() => import("./overview"), (search) => pageHref("overview", new URLSearchParams(search)));
const Graph = lazy(() => import("./graph"), (search) => pageHref("graph", new URLSearchParams(search)));
const Flame = lazy(() => import("./flame"));
const Health = lazy(() => import("./health"), () => pageHref("health"));

function App() {
  const route = useRoute();
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to content
      </a>
      <Header view={route.view} />
      <main id="main" tabIndex={-1}>
        <View route={route} />
      </main>
    </>
  );
}

/** skip moves the focus alone: the address's fragment is the selected span. */
function skip(e: Event): void {
  e.preventDefault();
  document.getElementById("main")?.focus();
}

function View({ route }: { route: Route }) {
  switch (route.view) {
    case "list":
      return <ListView search={route.search} />;
    case "trace":
      return <TraceView key={route.id} id={route.id} span={route.span} />;
    case "live":
      return <Live search={route.search} />;
    case "overview":
      return <Overview search={route.search} />;
    case "graph":
      return <Graph search={route.search} />;
    case "flame":
      return <Flame search={route.search} />;
    case "health":
      return <Health search={route.search} />;
    case "elsewhere":
      return <Elsewhere path={route.path} />;
  }
}

/** Elsewhere shows what the handler says of a path that is no view of this page. */
function Elsewhere({ path }: { path: string }) {
  const { failure, loading, reload } = useData<unknown>(path);
  if (loading) return null;
  return <ErrorView failure={failure} onRetry={reload} />;
}

export * from "./shared";

render(<App />, document.getElementById("app")!);
