import { useEffect, useRef, useState } from "react";
import type { Task } from "todo-api-client";
import { Banner } from "../Banner.tsx";
import { useFocusOfRows } from "../focus.ts";
import { usePendingChanges, withPending } from "./changes.ts";
import { describe } from "./errors.ts";
import type { Filters } from "./filters.ts";
import { useTasks } from "./queries.ts";
import { TaskRow } from "./TaskRow.tsx";

export function TaskList({ filters }: { filters: Filters }) {
  const list = useTasks(filters);
  const pending = usePendingChanges();
  const tasks = withPending(list.data?.pages.flatMap((page) => page.items) ?? [], pending, filters);
  const [edited, setEdited] = useState<Task[]>([]);
  // A task that is being edited stays, also if the list has it no longer, because others completed or deleted it.
  const stays = edited.filter(({ id }) => !tasks.some((task) => task.id === id));
  const rows = useFocusOfRows();

  if (list.isPending) {
    return (
      <div ref={rows}>
        <div className="loading" aria-label="Loading tasks" role="img">
          {list.fetchStatus === "fetching" && [1, 2, 3, 4].map((row) => <div key={row} className="skeleton" />)}
        </div>
      </div>
    );
  }
  return (
    <div ref={rows}>
      {list.error && !list.isFetchNextPageError && (
        <Banner action={{ label: "Try again", run: () => void list.refetch() }}>
          The tasks cannot be read. {describe(list.error)}
        </Banner>
      )}
      <div className={list.isPlaceholderData ? "is-old" : undefined}>
        <ul className="tasks" aria-label="Tasks">
          {[...stays, ...tasks].map((task) => (
            <TaskRow
              key={task.id}
              task={task}
              isEditing={edited.some(({ id }) => id === task.id)}
              setEditing={(isEditing) =>
                setEdited((before) => [...before.filter(({ id }) => id !== task.id), ...(isEditing ? [task] : [])])
              }
            />
          ))}
        </ul>
        {!tasks.length && !stays.length && list.isSuccess && <Empty filters={filters} />}
        {list.hasNextPage && (
          <LoadMore
            isLoading={list.isFetchingNextPage}
            error={list.isFetchNextPageError ? list.error : null}
            load={() => void list.fetchNextPage()}
          />
        )}
      </div>
    </div>
  );
}

function LoadMore({ isLoading, error, load }: { isLoading: boolean; error: Error | null; load: () => void }) {
  const button = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    // After an error the person decides when to try again.
    if (isLoading || error) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && load(), { rootMargin: "1200px" });
    observer.observe(button.current!);
    return () => observer.disconnect();
  });
  return (
    <div className="more">
      <span role="alert" className="error">
        {error && describe(error)}
      </span>
      <button ref={button} className="quiet" onClick={load} aria-disabled={isLoading}>
        {isLoading ? "Loading…" : "Load more"}
      </button>
    </div>
  );
}

const EMPTY: Record<Filters["view"], [string, string]> = {
  open: ["Nothing to do", "Add a task above."],
  overdue: ["Nothing is overdue", "Tasks appear here on the day after they were due."],
  done: ["Nothing is done yet", "Tasks appear here when you check them."],
  all: ["No tasks yet", "Add a task above."],
};

function Empty({ filters: { view, label, q } }: { filters: Filters }) {
  const isChosen = q !== "" || label !== "";
  const [what, hint] = isChosen ? ["No task matches", "Try other words, another label or another view."] : EMPTY[view];
  return (
    <p className="empty">
      <strong>{what}</strong>
      {hint}
    </p>
  );
}
