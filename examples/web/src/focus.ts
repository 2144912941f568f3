import { useEffect, useLayoutEffect, useRef } from "react";

const ROWS = "li, .banner, .more";

/**
 * If the row that has the focus disappears, the next one gets it. Rows are tasks, and what is above and below them.
 * Returns the ref of what has the rows.
 */
export function useFocusOfRows() {
  const container = useRef<HTMLDivElement>(null);
  const focused = useRef<{ row: Element; index: number } | null>(null);

  function rows(): Element[] {
    return [...(container.current?.querySelectorAll(ROWS) ?? [])];
  }
  function follow(): void {
    const all = rows();
    const index = all.findIndex((row) => row.contains(document.activeElement));
    focused.current = index < 0 ? null : { row: all[index]!, index };
  }

  useEffect(() => {
    document.addEventListener("focusin", follow);
    return () => document.removeEventListener("focusin", follow);
  }, []);
  useLayoutEffect(() => {
    if (!focused.current || focused.current.row.isConnected) return;
    const all = rows();
    const next = all[Math.min(focused.current.index, all.length - 1)];
    focused.current = null;
    if (document.activeElement !== document.body) return;
    (next?.querySelector<HTMLElement>("input:enabled, button") ?? document.querySelector<HTMLElement>("h1"))?.focus();
  });
  return container;
}
