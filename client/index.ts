import { Caller, type Options } from "./calls.js";
import { TodoApiError } from "./error.js";
import { OPERATIONS } from "./operations.js";
import type { Task, TaskChanges } from "./schema.js";
import { TokenKeeper } from "./token.js";
import type { Answers, CallOptions, Calls, Input, OperationId } from "./types.js";

export { type FailureKind, TodoApiError } from "./error.js";
export type * from "./schema.js";
export { tokenFrom } from "./token.js";
export type { Answer, Answers, Body, CallOptions, Calls, Data, Input, OperationId, Problem } from "./types.js";

export interface TodoClientOptions {
  /** The URL of the service, such as `https://todo.example.com`. */
  baseUrl: string;
  /** Returns a token of the user, or null if the user is signed out. Called again when the token expires. */
  getToken: () => string | null | Promise<string | null>;
  /** How often a call is repeated that got no answer, or 408, 429, 502, 503 or 504. The default is 3. */
  retries?: number;
}

/** Filters and an order of `listTasks`. */
export type TaskFilters = Omit<Input<"listTasks">, "cursor" | "offset" | "include_total">;

/** A page of changes. */
export interface ChangesPage extends TaskChanges {
  /** The token was too old, so this page begins with all tasks: drop the tasks that you keep. */
  restarted: boolean;
}

export type TodoClient = Calls & {
  /** The operations with status and headers: `(await client.answers.createTask(…)).headers.location`. */
  answers: Answers;
  /** All tasks that match, page by page. */
  allTasks(filters?: TaskFilters, options?: CallOptions<"listTasks">): AsyncGenerator<Task, void>;
  /**
   * What changed since a token, which is the `next_since` of an earlier page, until now; without a token, all tasks.
   * Keep the `next_since` of each page after you have applied it.
   */
  changes(since?: string | null, options?: CallOptions<"listTaskChanges">): AsyncGenerator<ChangesPage, void>;
  /** Call this when another user signs in, or the user signs out. */
  forgetToken(): void;
};

/** Returns a client of the service, for one user. */
export function createTodoClient({ baseUrl, getToken, retries = 3 }: TodoClientOptions): TodoClient {
  const tokens = new TokenKeeper(getToken);
  const caller = new Caller(baseUrl, tokens, retries);
  const answers: Record<string, unknown> = {};
  const calls: Record<string, unknown> = {};
  for (const id of Object.keys(OPERATIONS) as OperationId[]) {
    answers[id] = (input?: object, options?: Options) => caller.call(id, { ...input }, options);
    calls[id] = async (input?: object, options?: Options) => (await caller.call(id, { ...input }, options)).data;
  }
  const { listTasks, listTaskChanges } = calls as Calls;

  async function* allTasks(filters: TaskFilters = {}, options: CallOptions<"listTasks"> = {}) {
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await listTasks({ limit: 100, ...filters, ...(cursor && { cursor }) }, options);
      yield* page.items;
      cursor = page.next_cursor;
    }
  }

  async function* changes(since: string | null = null, options: CallOptions<"listTaskChanges"> = {}) {
    for (let restarted = false, hasMore = true; hasMore; ) {
      try {
        const page = await listTaskChanges({ limit: 100, ...(since !== null && { since }) }, options);
        yield { ...page, restarted };
        [since, restarted, hasMore] = [page.next_since, false, page.has_more];
      } catch (error) {
        if (since === null || !(error instanceof TodoApiError) || error.status !== 410) throw error;
        [since, restarted] = [null, true];
      }
    }
  }

  return { ...(calls as Calls), answers: answers as Answers, allTasks, changes, forgetToken: () => tokens.forget() };
}
