// A minimal frontend: calls every task operation of a running service with the generated types and openapi-fetch. Reads
// BASE_URL, USER_ID and TOKEN from the environment, and deletes the tasks that it creates.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths, Task, TaskUpdate } from "../../generated/typescript/schema.d.ts";
import type { AnyProblem } from "./problems.ts";

// Returns how a frontend reacts to the problems of the task operations.
function remedy(problem: AnyProblem): string {
  switch (problem.type) {
    case "/problems/validation-failed":
      return `correct ${problem.errors.map((error) => error.pointer ?? error.parameter).join(", ")}`;
    case "/problems/authentication-required":
    case "/problems/invalid-token":
      return "sign in again";
    case "/problems/forbidden":
      return "show the own tasks instead";
    case "/problems/task-not-found":
      return "drop the task from the list";
    case "/problems/database-unavailable":
    case "/problems/issuer-unavailable":
    case "/problems/too-many-requests":
      return "try again in a moment";
    default:
      return `report ${problem.request_id}`;
  }
}

// `T` is the type of the operation's success response.
async function success<T>(call: Promise<{ data?: T; error?: AnyProblem; response: Response }>): Promise<T> {
  const { data, error, response } = await call;
  if (error !== undefined) {
    throw new Error(`${response.status} ${error.type}: ${error.detail} (${remedy(error)})`);
  }
  assert.ok(data !== undefined, `${response.status} without a body`);
  return data;
}

async function failure(call: Promise<{ error?: AnyProblem; response: Response }>): Promise<AnyProblem> {
  const { error, response } = await call;
  assert.ok(error !== undefined, `${response.status} instead of a problem`);
  assert.equal(error.status, response.status);
  assert.equal(error.request_id, response.headers.get("X-Request-ID"));
  assert.equal(error.instance, `/requests/${error.request_id}`);
  return error;
}

async function step<T>(name: string, action: () => Promise<T>): Promise<T> {
  try {
    const result = await action();
    console.log(`ok      ${name}`);
    return result;
  } catch (error) {
    console.log(`failed  ${name}`);
    throw error;
  }
}

function environment(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

async function main(): Promise<void> {
  const baseUrl = environment("BASE_URL");
  const user_id = environment("USER_ID");
  const signal = AbortSignal.timeout(30_000);
  const anonymous = createClient<paths>({ baseUrl, signal });
  const client = createClient<paths>({
    baseUrl,
    signal,
    headers: { Authorization: `Bearer ${environment("TOKEN")}` },
  });

  const tasks = "/api/{user_id}/tasks";
  const oneTask = "/api/{user_id}/tasks/{task_id}";
  const completion = "/api/{user_id}/tasks/{task_id}/complete";
  const user = { path: { user_id } };

  await step("getServiceInfo", async () => {
    const info = await success(anonymous.GET("/"));
    assert.equal(info.name, "todo-api");
    assert.match(info.version, /^\d+\.\d+\.\d+$/);
  });

  const [first, second] = await step("createTask", async (): Promise<[Task, Task]> => {
    const call = client.POST(tasks, { params: user, body: { title: "Buy milk" } });
    const created = await success(call);
    const { response } = await call;
    assert.equal(response.status, 201);
    assert.ok(response.headers.get("Location")?.endsWith(`/tasks/${created.id}`), "Location");
    assert.equal(created.user_id, user_id);
    assert.equal(created.description, null);
    assert.equal(created.completed, false);

    const body = { title: "Äpfel 🍎", description: "Two kilos", completed: true };
    const other = await success(client.POST(tasks, { params: user, body }));
    assert.deepEqual({ ...other, ...body }, other);
    return [created, other];
  });
  const task = { path: { user_id, task_id: first.id } };

  await step("getTask", async () => {
    assert.deepEqual(await success(client.GET(oneTask, { params: task })), first);
  });

  await step("listTasks", async () => {
    const newest = await success(
      client.GET(tasks, { params: { ...user, query: { limit: 1, include_total: true } } }),
    );
    assert.deepEqual(newest.items, [second]);
    assert.ok(newest.total !== undefined && newest.total >= 2, "total");
    assert.ok(newest.next_cursor !== null, "next_cursor");

    const query = { limit: 1, cursor: newest.next_cursor };
    const next = await success(client.GET(tasks, { params: { ...user, query } }));
    assert.deepEqual(next.items, [first]);
    assert.equal(next.total, undefined);

    const open = await success(client.GET(tasks, { params: { ...user, query: { completed: false } } }));
    assert.ok(open.items.every((item) => !item.completed), "completed=false");
    assert.equal(open.items[0]?.id, first.id);
  });

  await step("listTasksWithFilters", async () => {
    const body = { due_date: "2026-12-24", priority: "high" as const, labels: ["home", "a & b"] };
    const labeled = await success(client.PATCH(oneTask, { params: task, body }));
    assert.deepEqual({ ...labeled, ...body, due_at: null }, labeled);
    for (const [label, ids] of [[["Home", "a & b"], [first.id]], [["home", "work"], []]] as const) {
      const query = { label: [...label], priority: ["urgent" as const, "high" as const], sort: "due" as const };
      const found = await success(client.GET(tasks, { params: { ...user, query } }));
      assert.deepEqual(found.items.map(({ id }) => id), ids);
    }
    const timed = await success(
      client.PATCH(oneTask, { params: task, body: { due_at: "2026-12-24T17:30:00Z", labels: [] } }),
    );
    assert.equal(timed.due_date, null);
  });

  await step("updateTask", async () => {
    const update = (body: TaskUpdate) => success(client.PUT(oneTask, { params: task, body }));
    const described = await update({ description: "Two litres" });
    assert.equal(described.title, first.title);
    assert.equal(described.description, "Two litres");
    const renamed = await update({ title: "Buy oat milk" });
    assert.equal(renamed.title, "Buy oat milk");
    assert.equal(renamed.description, "Two litres");
    const cleared = await update({ description: null });
    assert.equal(cleared.description, null);
  });

  await step("patchTask", async () => {
    const body = { title: "Buy rice milk" };
    assert.equal((await success(client.PATCH(oneTask, { params: task, body }))).title, body.title);
    const { response } = await client.PATCH(oneTask, {
      params: task,
      body,
      headers: { "Content-Type": "application/merge-patch+json" },
    });
    assert.equal(response.status, 200);
  });

  await step("toggleTaskCompletion", async () => {
    assert.equal((await success(client.PATCH(completion, { params: task }))).completed, true);
    assert.equal((await success(client.PATCH(completion, { params: task }))).completed, false);
    for (const completed of [true, true]) {
      assert.equal((await success(client.PATCH(completion, { params: task, body: { completed } }))).completed, true);
    }
  });

  await step("deleteTask", async () => {
    for (const { id } of [first, second]) {
      const { response } = await client.DELETE(oneTask, { params: { path: { user_id, task_id: id } } });
      assert.equal(response.status, 204);
    }
  });

  await step("problems", async () => {
    const gone = await failure(client.GET(oneTask, { params: task }));
    assert.equal(gone.type, "/problems/task-not-found");
    assert.equal(remedy(gone), "drop the task from the list");

    const { error: blank } = await client.POST(tasks, { params: user, body: { title: " " } });
    // The status is as good as the type to tell problems apart.
    assert.ok(blank?.status === 422);
    assert.deepEqual(blank.errors.map((error) => error.pointer), ["#/title"]);
    assert.equal(remedy(blank), "correct #/title");

    const unsigned = await failure(anonymous.GET(tasks, { params: user }));
    assert.equal(unsigned.type, "/problems/authentication-required");

    const foreign = await failure(client.GET(tasks, { params: { path: { user_id: `${user_id}-other` } } }));
    assert.equal(foreign.type, "/problems/forbidden");
  });
}

main().catch((error: unknown) => {
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined };
  console.error(cause instanceof Error ? `${message}: ${cause.message}` : message);
  process.exitCode = 1;
});
