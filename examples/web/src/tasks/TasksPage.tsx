import { onlineManager, QueryClientProvider } from "@tanstack/react-query";
import { useEffect, useState, useSyncExternalStore } from "react";
import { Api, createApi } from "../api.ts";
import { Banner } from "../Banner.tsx";
import { notice } from "../notices.ts";
import { Notices } from "../Notices.tsx";
import { signOut, type User } from "../session/session.ts";
import { AddTask } from "./AddTask.tsx";
import { usePendingChanges } from "./changes.ts";
import { ConflictDialog } from "./ConflictDialog.tsx";
import { ORDERS, useFilters, VIEWS } from "./filters.ts";
import { createQueryClient, useChangesOfOthers } from "./queries.ts";
import { SearchBox } from "./SearchBox.tsx";
import { SideBar } from "./SideBar.tsx";
import { TaskList } from "./TaskList.tsx";

/** Everything of one user, with a cache and a token of their own. */
export function TasksPage({ user }: { user: User }) {
  const [api] = useState(() => createApi(user));
  const [queryClient] = useState(createQueryClient);
  useEffect(() => () => notice.set(null), []);
  return (
    <Api value={api}>
      <QueryClientProvider client={queryClient}>
        <Page user={user} />
      </QueryClientProvider>
    </Api>
  );
}

function Page({ user }: { user: User }) {
  const [filters, change] = useFilters();
  useChangesOfOthers(user);
  const heading = filters.label ? `${VIEWS[filters.view]} · ${filters.label}` : VIEWS[filters.view];
  useEffect(() => {
    document.title = `${heading} – Tasks`;
  }, [heading]);
  return (
    <div className="page">
      <header>
        <img src="/icon.svg" alt="" width="28" height="28" />
        <strong>Tasks</strong>
        <SearchBox q={filters.q} onSearch={(q) => change({ q })} />
        <span className="who">{user.name}</span>
        <button className="quiet" onClick={leave}>
          Sign out
        </button>
      </header>
      <SideBar filters={filters} change={change} />
      <main>
        <div className="heading">
          <h1 tabIndex={-1}>{heading}</h1>
          <select
            aria-label="Order"
            value={filters.sort}
            onChange={(event) => change({ sort: event.target.value as keyof typeof ORDERS })}
          >
            {Object.entries(ORDERS).map(([sort, name]) => (
              <option key={sort} value={sort}>
                {name}
              </option>
            ))}
          </select>
        </div>
        <AddTask filters={filters} />
        <TaskList filters={filters} />
      </main>
      <ConflictDialog />
      <div className="messages">
        <Connection />
        <Notices />
      </div>
    </div>
  );
}

/** Says that the browser is offline, and keeps the tab open while changes wait. */
function Connection() {
  const isOnline = useSyncExternalStore(
    (listener) => onlineManager.subscribe(listener),
    () => onlineManager.isOnline(),
  );
  const waiting = usePendingChanges().length;
  useEffect(() => {
    if (!waiting) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [waiting > 0]);
  if (isOnline) return null;
  const changes = waiting === 1 ? "1 change waits" : `${waiting} changes wait`;
  return <Banner>You are offline.{waiting > 0 && ` ${changes} for the connection.`}</Banner>;
}

async function leave() {
  if (await signOut()) return;
  notice.set({ text: "You are still signed in, because there is no connection.", tone: "error" });
}
