// Which tasks are shown. The filters are in the URL, so that a reload and a bookmark show the same.
import { useEffect, useState } from "react";
import type { TaskCreate, TaskFilters } from "todo-api-client";

export const VIEWS = { open: "Open", overdue: "Overdue", done: "Done", all: "All" };
export const ORDERS = {
  "-created_at": "Newest first",
  due: "Due first",
  "-priority": "Most important first",
  title: "By title",
  "-updated_at": "Last changed first",
};

export interface Filters {
  view: keyof typeof VIEWS;
  label: string;
  q: string;
  sort: keyof typeof ORDERS;
}
const DEFAULTS: Filters = { view: "open", label: "", q: "", sort: "-created_at" };

export function useFilters(): [Filters, (changed: Partial<Filters>) => void] {
  const [filters, setFilters] = useState(read);
  useEffect(() => {
    const follow = () => setFilters(read());
    window.addEventListener("popstate", follow);
    return () => window.removeEventListener("popstate", follow);
  }, []);
  function change(changed: Partial<Filters>) {
    const next = { ...read(), ...changed };
    const kept = Object.entries(next).filter(([name, value]) => value !== DEFAULTS[name as keyof Filters]);
    const url = kept.length ? `?${new URLSearchParams(kept)}` : location.pathname;
    // A word that is being typed is no step to go back to.
    if ("q" in changed) history.replaceState(null, "", url);
    else history.pushState(null, "", url);
    setFilters(next);
  }
  return [filters, change];
}

function read(): Filters {
  const given = new URLSearchParams(location.search);
  const { view, sort } = { view: given.get("view") ?? "", sort: given.get("sort") ?? "" };
  return {
    view: view in VIEWS ? (view as Filters["view"]) : DEFAULTS.view,
    label: given.get("label") ?? "",
    q: given.get("q") ?? "",
    sort: sort in ORDERS ? (sort as Filters["sort"]) : DEFAULTS.sort,
  };
}

/** Whether a new task belongs into the list. */
export function showsNew({ view, label, q }: Filters, { labels = [] }: TaskCreate): boolean {
  const hasLabel = !label || labels.some((each) => each.toLowerCase() === label.toLowerCase());
  return (view === "open" || view === "all") && hasLabel && !q;
}

/** The filters as parameters of the API. */
export function parametersOf({ view, label, q, sort }: Filters): TaskFilters {
  return {
    sort,
    ...(view === "open" && { completed: false }),
    ...(view === "done" && { completed: true }),
    ...(view === "overdue" && { overdue: true, time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone }),
    ...(label && { label: [label] }),
    ...(q.trim() && { q: q.trim() }),
  };
}
