// What the page changes. Offline, changes wait in the order in which they were made.
import { onlineManager, type QueryClient, useMutation, useMutationState, useQueryClient } from "@tanstack/react-query";
import { type Task, TodoApiError, type TaskCreate, type TaskUpdate, type TodoClient } from "todo-api-client";
import { useApi } from "../api.ts";
import { saveMerged } from "./conflicts.ts";
import { edited } from "./draft.ts";
import { report } from "./failures.ts";
import { type Filters, showsNew } from "./filters.ts";
import { refresh, type TaskPages } from "./queries.ts";

export type Change =
  // The key is made once for one action of the person, so that sending it again does not add a second task.
  | { kind: "add"; body: TaskCreate; key: string }
  | { kind: "edit"; task: Task; body: TaskUpdate; isDeleted?: boolean }
  | { kind: "complete"; task: Task; completed: boolean }
  | { kind: "delete"; task: Task }
  | { kind: "restore"; task: Task };

/** Changes of one task are sent one after the other. */
export function useChange(task?: Task) {
  const api = useApi();
  const queryClient = useQueryClient();
  const mutation = useMutation<Task | undefined, Error, Change>({
    mutationKey: ["change"],
    ...(task && { scope: { id: `task-${task.id}` } }),
    mutationFn: (change) => send(api, change),
    onSuccess: (answer, change) => show(queryClient, change, answer),
    onError: (error, change) => report(error, change, (again) => mutation.mutate(again)),
    // A list that is read between two changes has only one of them.
    onSettled: () => queryClient.isMutating({ mutationKey: ["change"] }) === 1 && refresh(queryClient),
  });
  return mutation;
}

async function send(api: TodoClient, change: Change): Promise<Task | undefined> {
  if (change.kind === "add") return api.createTask({ body: change.body, "Idempotency-Key": change.key });
  const { id: task_id, etag } = change.task;
  switch (change.kind) {
    case "edit":
      if (change.isDeleted) await api.restoreTask({ task_id });
      return saveMerged(api, change.task, change.body);
    case "complete":
      return api.toggleTaskCompletion(
        { task_id, body: { completed: change.completed }, "If-Match": etag },
        { onConflict: (_, body) => body }, // what else has changed does not matter
      );
    case "delete":
      return api.deleteTask({ task_id, "If-Match": etag }, { onConflict: () => undefined }).catch((error) => {
        // Somebody else has deleted it.
        if (!(error instanceof TodoApiError) || error.status !== 404) throw error;
        return undefined;
      });
    case "restore":
      return api.restoreTask({ task_id });
  }
}

export interface PendingChange {
  change: Change;
  /** Whether it waits for the connection. */
  isPaused: boolean;
}

export function usePendingChanges(): PendingChange[] {
  return useMutationState({
    filters: { mutationKey: ["change"], status: "pending" },
    // A change that waits for another one of its task is also paused.
    select: ({ state }) => ({
      change: state.variables as Change,
      isPaused: state.isPaused && !onlineManager.isOnline(),
    }),
  });
}

export type ShownTask = Task & { waits?: "answer" | "connection" };

/**
 * The tasks as they will be once the pending changes are made. A change that fails is no longer pending: the page then
 * shows the task as it was.
 */
export function withPending(tasks: Task[], pending: PendingChange[], filters: Filters): ShownTask[] {
  const added: ShownTask[] = [];
  const shown = new Map<number, ShownTask | null>(tasks.map((task) => [task.id, task]));
  for (const { change, isPaused } of pending) {
    const waits = isPaused ? "connection" : "answer";
    if (change.kind === "add") {
      // The form has a task until it is sent, so only a task that waits for the connection is in the list.
      if (isPaused && showsNew(filters, change.body)) {
        added.unshift({ ...EMPTY, ...change.body, id: -added.length - 1, waits } as ShownTask);
      }
      continue;
    }
    const task = shown.get(change.task.id);
    if (task === undefined) continue;
    const now = { ...(task ?? change.task), waits } as const;
    if (change.kind === "delete") shown.set(now.id, null);
    if (change.kind === "restore") shown.set(now.id, now);
    if (change.kind === "complete") shown.set(now.id, { ...now, completed: change.completed });
    if (change.kind === "edit") shown.set(now.id, { ...edited(now, change.body), waits });
  }
  return [...added, ...[...shown.values()].filter((task) => task !== null)];
}

const EMPTY = { description: null, completed: false, due_date: null, due_at: null, priority: "normal", labels: [] };

/** Puts the answer into the lists at once; `refresh` then puts it into its place. */
function show(queryClient: QueryClient, change: Change, answer: Task | undefined): void {
  if (change.kind === "delete" && isBeingRestored(queryClient, change.task)) return;
  for (const [key, list] of queryClient.getQueriesData<TaskPages>({ queryKey: ["tasks"], type: "active" })) {
    const pages = list?.pages.map((page, index) => {
      if (change.kind !== "add") {
        const items = page.items.flatMap((task) => (task.id !== change.task.id ? [task] : answer ? [answer] : []));
        return { ...page, items };
      }
      const isFirst = index === 0 && answer && showsNew(key[1] as Filters, change.body);
      return isFirst ? { ...page, items: [answer, ...page.items] } : page;
    });
    if (pages) queryClient.setQueryData(key, { ...list, pages });
  }
}

function isBeingRestored(queryClient: QueryClient, { id }: Task): boolean {
  const pending = queryClient.getMutationCache().findAll({ mutationKey: ["change"], status: "pending" });
  return pending.some(({ state }) => {
    const change = state.variables as Change;
    return change.kind === "restore" && change.task.id === id;
  });
}
