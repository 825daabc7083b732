// Views that not everybody opens come when they are opened.

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { begin, Failure } from "./api";
import { ErrorView } from "./error";

export interface ViewProps {
  search: string;
}

type Load = () => Promise<{ default: ComponentType<ViewProps> }>;

/**
 * lazy makes a view of one that is loaded first. Where its data is told, that is
 * asked for at the same time.
 */
export function lazy(load: Load, data?: (search: string) => string): ComponentType<ViewProps> {
  let known: ComponentType<ViewProps> | undefined;
  return function Lazy(props: ViewProps) {
    const [View, setView] = useState(() => known);
    const [failed, setFailed] = useState(false);
    const [turn, setTurn] = useState(0);
    useEffect(() => {
      if (View) return;
      let left = false;
      if (data) begin(data(props.search));
      load().then(
        (m) => {
          known = m.default;
          if (!left) setView(() => m.default);
        },
        () => !left && setFailed(true),
      );
      return () => {
        left = true;
      };
    }, [turn]);
    if (View) return <View {...props} />;
    if (!failed) return <p class="loading">Loading…</p>;
    const retry = () => {
      setFailed(false);
      setTurn(turn + 1);
    };
    return <ErrorView failure={new Failure(0, "This view could not be loaded", "The service may have stopped, or be a newer build: load the page anew.")} onRetry={retry} />;
  };
}
