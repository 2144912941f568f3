// What compiles, and what does not: each comment below must be followed by an error.
import { createTodoClient, type Problem, type Task, type TaskCreate, TodoApiError } from "todo-api-client";

const todo = createTodoClient({ baseUrl: "http://127.0.0.1:8000", getToken: async () => null });
const body: TaskCreate = { title: "Buy milk" };

export const task: Task = await todo.createTask({ body });
export const blob: Blob = await todo.exportTasks();
export const nothing: undefined = await todo.deleteTask({ task_id: 1, "If-Match": task.etag });
const created = await todo.answers.createTask({ body });
export const status: 201 = created.status;
export const location: string = created.headers.location;
export const replayed: string | undefined = created.headers["idempotency-replayed"];
for await (const { title } of todo.allTasks({ completed: false, sort: "due" })) title.trim();

// @ts-expect-error A misspelt member of a body.
await todo.createTask({ body: { titel: "Buy milk" } });
// @ts-expect-error A required body.
await todo.createTask({});
// @ts-expect-error A required parameter.
await todo.getTask({});
// @ts-expect-error A misspelt parameter.
await todo.listTasks({ compleded: false });
// @ts-expect-error A value that is not one of the contract's.
await todo.listTasks({ sort: "colour" });
// @ts-expect-error An operation that the contract does not have.
await todo.listTask();
// @ts-expect-error A member that a task does not have.
task.done;
// @ts-expect-error A header that the answer does not have.
created.headers.allow;
// @ts-expect-error A header that the answer may lack.
created.headers["idempotency-replayed"].length;
// @ts-expect-error 304 has no data.
(await todo.answers.getTask({ task_id: 1, "If-None-Match": task.etag })).data.title;
// @ts-expect-error The data of a call cannot be that of 304.
await todo.getTask({ task_id: 1, "If-None-Match": task.etag });
// @ts-expect-error Only changes of a task have conflicts.
await todo.createTask({ body }, { onConflict: () => null });
// @ts-expect-error The merged body is one of the operation.
await todo.updateTask({ task_id: 1, body: {} }, { onConflict: () => ({ titel: "Buy milk" }) });

export function remedy(problem: Problem): string {
  switch (problem.type) {
    case "/problems/validation-failed":
      return problem.errors.map((each) => each.pointer ?? each.parameter).join();
    case "/problems/task-changed":
      return problem.task.title;
    // @ts-expect-error A problem that the contract does not have.
    case "/problems/task-lost":
    default:
      return problem.detail;
  }
}

export const retry = (error: unknown) => error instanceof TodoApiError && error.kind !== "problem" && error.retryAfter;
