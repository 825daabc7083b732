// Light and dark: the system's choice until the reader makes another.

import { recall, remember } from "./memory";

export type Theme = "" | "light" | "dark";

export function savedTheme(): Theme {
  const saved = recall("theme");
  return saved === "light" || saved === "dark" ? saved : "";
}

/** applyTheme shows the page in a theme; "" is the system's. */
export function applyTheme(theme: Theme): void {
  if (theme) document.documentElement.dataset["theme"] = theme;
  else delete document.documentElement.dataset["theme"];
}

export function chooseTheme(theme: Theme): void {
  remember("theme", theme);
  applyTheme(theme);
}

/** nextTheme goes first to the opposite of what the system shows, so that each press is seen. */
export function nextTheme(theme: Theme): Theme {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const order: Theme[] = dark ? ["", "light", "dark"] : ["", "dark", "light"];
  return order[(order.indexOf(theme) + 1) % order.length]!;
}
