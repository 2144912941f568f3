import type { operations } from "./schema.js";
/** A header that some of the responses that document it may lack. */
export type OptionalHeader = "Idempotency-Replayed" | "Link" | "RateLimit" | "RateLimit-Policy" | "Retry-After" | "WWW-Authenticate";
export interface Operations {
    /**
     * Get service information.
     *
     * Returns the name and version of the service, and the URLs of its contract and documentation. A browser, whose
     * `Accept` prefers `text/html`, gets a page for people; every other request gets JSON.
     */
    getServiceInfo: operations["getServiceInfo"];
    /**
     * Check liveness.
     *
     * Never queries the database, so that probes do not keep a suspended database awake.
     */
    getHealth: operations["getHealth"];
    /**
     * Check readiness.
     *
     * Reports the last known state of the database without querying it, so that frequent probes do not keep a
     * suspended database awake. While the database is unreachable, the service retries until it responds.
     */
    getReadiness: operations["getReadiness"];
    /**
     * List the tasks of a user.
     *
     * Newest first, unless `sort` is another order. All filters can be combined, also with each order.
     *
     * Follow `next_cursor` until it is null: in the order of `created_at` a page by cursor costs the same at any depth,
     * and no task is missed or repeated while tasks are added, changed or deleted. A cursor belongs to the filters and the
     * order of its page: with others it is 422. It does not expire. `cursor` and `offset` cannot be combined (422).
     *
     * Open tasks in the order of `due`, those that are overdue, those of a label and those with the words of `q` are found
     * by indexes. Another filter or order reads all tasks of the user, and is 503 if that takes too long.
     */
    listTasks: operations["listTasks"];
    /**
     * Create a task.
     *
     * A request that is sent twice creates two tasks. Send an `Idempotency-Key` to make a retry safe.
     */
    createTask: operations["createTask"];
    /**
     * Run several commands.
     *
     * Carries out up to 100 commands in their order: creates, updates, completes and deletes tasks. Each has a result with
     * its own status. An atomic batch carries out all commands, or none if one of them fails; otherwise those that fail
     * are left out.
     *
     * All of it is one transaction, and with an `Idempotency-Key` the answer is kept as a whole: after a lost answer, send
     * the same batch again.
     */
    runTaskBatch: operations["runTaskBatch"];
    /**
     * List the changes of tasks.
     *
     * Returns what changed after the token `since`, in the order of the changes, deletions included. Without `since` it
     * starts with all tasks. A client that applies every page, and follows `next_since` while `has_more` is true, has
     * the tasks as the service has them; later, the last `next_since` returns what changed in between.
     *
     * Each task appears once, as it is now, and not once for each change. A token can be used for at least 30 days;
     * then the deletions after it may be forgotten, and it is 410: start again without `since`.
     */
    listTaskChanges: operations["listTaskChanges"];
    /**
     * Export all tasks.
     *
     * Returns all tasks, oldest first, in the media type that `Accept` prefers: one JSON object on each line, which
     * `importTasks` accepts; a table for a spreadsheet; or a calendar of to-dos (RFC 5545). The answer is a stream: a
     * task is as it is when it is read, and if the database fails in between, the connection is closed before the end.
     */
    exportTasks: operations["exportTasks"];
    /**
     * Import tasks.
     *
     * Creates tasks from lines of `exportTasks`, up to 1,000 in a request; divide a longer file at its lines. A line whose
     * `external_id` a task of the user has already is left out, so that a request can be sent again, and an export be
     * imported into the account that it came from. All lines are imported, or none.
     */
    importTasks: operations["importTasks"];
    /**
     * Get a task.
     *
     * A task of another user and a task that does not exist are both 404.
     */
    getTask: operations["getTask"];
    /**
     * Update a task.
     *
     * Changes only the members that are present: an absent member keeps its value, and null clears `description`,
     * `due_date` and `due_at`. Idempotent. The same as `patchTask`.
     */
    updateTask: operations["updateTask"];
    /**
     * Delete a task.
     *
     * `restoreTask` brings the task back within 30 days; after that it is gone. Deleting the same task again is 404, or
     * with the `If-Match` of its deletion 204, so that a retry is safe (RFC 9110, section 13.1.1).
     */
    deleteTask: operations["deleteTask"];
    /**
     * Change members of a task.
     *
     * Changes only the members that are present: an absent member keeps its value, and null clears `description`,
     * `due_date` and `due_at` (RFC 7396). `labels` are replaced as a whole. Idempotent.
     */
    patchTask: operations["patchTask"];
    /**
     * Set or toggle the completion of a task.
     *
     * Sets the state in the body, so that a retry is safe. Without a body, which is the old form, toggles the state: a
     * request that is sent twice has no effect, unless it has an `Idempotency-Key`. Both are atomic.
     */
    toggleTaskCompletion: operations["toggleTaskCompletion"];
    /**
     * Restore a deleted task.
     *
     * Brings a task back that was deleted in the last 30 days, as it was. Idempotent: a task that is not deleted is
     * returned unchanged.
     */
    restoreTask: operations["restoreTask"];
    /**
     * List the labels of a user.
     *
     * The labels in use with the numbers of their tasks, in the order of the code points of their lower-case forms. Follow
     * `next_after` until it is null: no label is missed or repeated while others come into use or fall out of it.
     */
    listLabels: operations["listLabels"];
    /**
     * Remove a label from all tasks.
     *
     * On all tasks of the user at once. Deleted tasks are not changed; a task that gets the label in the same moment may
     * keep it. Idempotent: if no task has the label, `tasks` is 0.
     */
    deleteLabel: operations["deleteLabel"];
    /**
     * Rename a label.
     *
     * On all tasks of the user at once. A task that already has the other label keeps one of the two, at the place of the
     * first. Tasks whose labels stay as they are, and deleted tasks, are not changed; a task that gets the label in the
     * same moment may keep it. Idempotent: if no task has the label, `tasks` is 0.
     */
    renameLabel: operations["renameLabel"];
}
/** How an operation is called. Parameters that are neither in the path nor headers are in the query. */
export interface Operation {
    method: string;
    path: string;
    headers?: readonly string[];
    /** The media type of the body. */
    body?: string;
    /** The media types of a success, if it is not JSON. */
    answers?: readonly string[];
    /** Requires no token. */
    public?: true;
}
export declare const OPERATIONS: {
    readonly [Id in keyof Operations]: Operation;
};
