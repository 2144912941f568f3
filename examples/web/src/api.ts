// The client of the API, for the user who is signed in.
import { createContext, useContext } from "react";
import { createTodoClient, type TodoClient } from "todo-api-client";
import { tokenOf, type User } from "./session/session.ts";

const baseUrl = document.querySelector<HTMLMetaElement>('meta[name="todo-api"]')!.content;

/** One retry is enough here: after it, the page says what is wrong, and the person can try again. */
export function createApi(user: User): TodoClient {
  return createTodoClient({ baseUrl, getToken: () => tokenOf(user), retries: 1 });
}

export const Api = createContext<TodoClient | null>(null);

export function useApi(): TodoClient {
  const api = useContext(Api);
  if (!api) throw new Error("useApi() is called outside of <Api>");
  return api;
}
