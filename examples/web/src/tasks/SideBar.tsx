import { type Filters, VIEWS } from "./filters.ts";
import { useLabels } from "./queries.ts";

interface Props {
  filters: Filters;
  change: (changed: Partial<Filters>) => void;
}

export function SideBar({ filters, change }: Props) {
  const labels = [...(useLabels().data ?? [])];
  const isSame = (name: string) => name.toLowerCase() === filters.label.toLowerCase();
  // No task has the chosen label any more: it stays until another one is chosen.
  if (filters.label && !labels.some(({ name }) => isSame(name))) {
    labels.unshift({ name: filters.label, tasks: 0, completed: 0 });
  }
  return (
    <div className="side">
      <nav aria-label="Views">
        {(Object.keys(VIEWS) as Filters["view"][]).map((view) => (
          <button key={view} aria-current={filters.view === view && "page"} onClick={() => change({ view })}>
            {VIEWS[view]}
          </button>
        ))}
      </nav>
      {labels.length > 0 && (
        <nav aria-label="Labels">
          <h2>Labels</h2>
          {labels.map(({ name, tasks, completed }) => {
            const isChosen = isSame(name);
            return (
              <button key={name} aria-pressed={isChosen} onClick={() => change({ label: isChosen ? "" : name })}>
                <span>{name}</span> <span className="count">{tasks - completed}</span>
                <span className="hidden"> open</span>
              </button>
            );
          })}
        </nav>
      )}
    </div>
  );
}
