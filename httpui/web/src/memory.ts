// What this page remembers in the browser. Storage may be forbidden; then it
// forgets, and nothing else happens.

export function recall(key: string): string {
  try {
    return localStorage.getItem("spanclock." + key) ?? "";
  } catch {
    return "";
  }
}

export function remember(key: string, value: string): void {
  try {
    if (value) localStorage.setItem("spanclock." + key, value);
    else localStorage.removeItem("spanclock." + key);
  } catch {
    // Forbidden or full.
  }
}
