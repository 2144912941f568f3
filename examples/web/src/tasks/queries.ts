// What the page reads: a list, page by page; the labels; and what others have changed.
import {
  type InfiniteData,
  onlineManager,
  QueryClient,
  useInfiniteQuery,
  useQuery,
  useQueryClient,
} from "@tanstack/react-query";
import { useEffect, useState } from "react";
import type { LabelInUse, Task, TaskPage } from "todo-api-client";
import { useApi } from "../api.ts";
import type { User } from "../session/session.ts";
import { isLost } from "./errors.ts";
import { type Filters, parametersOf } from "./filters.ts";

const PAGE_SIZE = 50;
const POLL_INTERVAL = 30_000; // milliseconds

export type TaskPages = InfiniteData<TaskPage, string | null>;

export function createQueryClient(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      // Nothing becomes stale by itself, because the feed of changes says when a list must be read again.
      queries: { staleTime: Infinity, retry: waitsForConnection },
      mutations: { retry: waitsForConnection },
    },
  });
}

/** The client repeats calls itself. What was lost because the connection is, waits for the connection. */
function waitsForConnection(_count: number, error: Error): boolean {
  return isLost(error) && !onlineManager.isOnline();
}

export function useTasks(filters: Filters) {
  const api = useApi();
  return useInfiniteQuery({
    queryKey: ["tasks", filters] as const,
    queryFn: ({ pageParam: cursor, signal }) =>
      api.listTasks({ ...parametersOf(filters), limit: PAGE_SIZE, ...(cursor && { cursor }) }, { signal }),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.next_cursor,
    // While a word is typed or the order changes, the list before stays.
    placeholderData: (list, query) => (isSameView(filters, query?.queryKey[1]) ? list : undefined),
  });
}

function isSameView({ view, label }: Filters, before: Filters | undefined): boolean {
  return view === before?.view && label === before.label;
}

export function useLabels() {
  const api = useApi();
  return useQuery({
    queryKey: ["labels"],
    queryFn: async ({ signal }): Promise<LabelInUse[]> => (await api.listLabels({}, { signal })).items,
  });
}

/** Follows the feed of changes: when the window gets the focus, after a time offline, and twice a minute. */
export function useChangesOfOthers(user: User): void {
  const api = useApi();
  const queryClient = useQueryClient();
  const place = `changes-since:${user.id}`;
  // Read before the lists are, so that no change is missed. Without a place, the feed begins with all tasks.
  const [followed] = useState(() => ({ since: localStorage.getItem(place) }));
  const { refetch } = useQuery({
    queryKey: ["changes"],
    queryFn: async ({ signal }) => {
      let hasNews = false;
      try {
        for await (const page of api.changes(followed.since, { signal })) {
          hasNews ||= page.changed.some((task) => !isShown(queryClient, task)) || page.deleted.length > 0;
          followed.since = page.next_since;
          localStorage.setItem(place, page.next_since);
        }
      } finally {
        if (hasNews) refresh(queryClient);
      }
      // A list that could not be read has no changes of its own.
      void queryClient.refetchQueries({ predicate: (query) => query.state.status === "error" });
      return followed.since;
    },
    staleTime: 0,
    refetchInterval: POLL_INTERVAL,
    refetchOnWindowFocus: "always", // of tabs; the effect is for windows side by side
    refetchOnReconnect: "always",
  });
  useEffect(() => {
    const follow = () => void refetch();
    window.addEventListener("focus", follow);
    return () => window.removeEventListener("focus", follow);
  }, [refetch]);
}

/** Reads again what is shown. */
export function refresh(queryClient: QueryClient): void {
  void queryClient.invalidateQueries({ queryKey: ["tasks"] });
  void queryClient.invalidateQueries({ queryKey: ["labels"] });
}

function isShown(queryClient: QueryClient, { id, etag }: Task): boolean {
  const lists = queryClient.getQueriesData<TaskPages>({ queryKey: ["tasks"], type: "active" });
  return lists.some(([, list]) => list?.pages.some(({ items }) => items.some((t) => t.id === id && t.etag === etag)));
}
