import type { Look } from "./encoding";

/** Swatch is a sample of a look for legends and tables. */
export function Swatch({ look, dashed = false, pale = false }: { look: Look; dashed?: boolean; pale?: boolean }) {
  return <span class={`swatch ${dashed && look !== "unknown" ? "dashed " : ""}bar look-${look}${pale ? " pale" : ""}`} aria-hidden="true" />;
}
