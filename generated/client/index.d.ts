import type { Task, TaskChanges } from "./schema.js";
import type { Answers, CallOptions, Calls, Input } from "./types.js";
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
export declare function createTodoClient({ baseUrl, getToken, retries }: TodoClientOptions): TodoClient;
