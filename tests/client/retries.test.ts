import assert from "node:assert/strict";
import { test } from "node:test";
import { createTodoClient, TodoApiError, type TodoClient } from "todo-api-client";
import { type Fault, faulty, newUser, problem, type Received, sign, waits } from "./faults.ts";

const seconds = waits();

async function behind(...faults: Fault[]): Promise<{ todo: TodoClient; received: Received[] }> {
  const user = newUser();
  const { baseUrl, received } = await faulty(...faults);
  seconds.length = 0;
  return { todo: createTodoClient({ baseUrl, getToken: () => sign(user) }), received };
}

const kind = (expected: string) => (error: unknown) => error instanceof TodoApiError && error.kind === expected;
const keys = (received: Received[]) => received.map(({ headers }) => headers["idempotency-key"]);
const unavailable = (after: string) => problem(503, "database-unavailable", { "Retry-After": after });
const page = { status: 502, headers: { "Content-Type": "text/html" }, body: "<h1>Bad gateway</h1>" };

for (const fault of ["lost answer", "lost request", "half an answer", page] as const) {
  test(`task is created once though its first attempt ends in ${typeof fault === "object" ? "502" : fault}`, async () => {
    const { todo, received } = await behind(fault);
    const task = await todo.createTask({ body: { title: "Buy milk" } });
    assert.deepEqual((await todo.listTasks()).items, [task]);
    const [first, second] = keys(received);
    assert.ok(first);
    assert.equal(first, second);
  });
}

test("each call has a key of its own", async () => {
  const { todo, received } = await behind();
  await todo.createTask({ body: { title: "Buy milk" } });
  await todo.createTask({ body: { title: "Buy milk" } });
  assert.equal(new Set(keys(received)).size, 2);
});

test("key of the caller is sent", async () => {
  const { todo, received } = await behind("lost answer");
  await todo.createTask({ body: { title: "Buy milk" }, "Idempotency-Key": "mine" });
  assert.deepEqual(keys(received), ["mine", "mine"]);
});

test("completion is toggled once though its answer is lost", async () => {
  const { todo, received } = await behind("none", "lost answer");
  const { id } = await todo.createTask({ body: { title: "Buy milk" } });
  assert.equal((await todo.toggleTaskCompletion({ task_id: id })).completed, true);
  assert.equal((await todo.getTask({ task_id: id })).completed, true);
  assert.equal(received.filter(({ url }) => url.endsWith("/complete")).length, 2);
});

test("batch is run once though its answer is lost", async () => {
  const { todo } = await behind("lost answer");
  const body = { commands: [{ type: "create" as const, id: "a", task: { title: "Buy milk" } }] };
  assert.equal((await todo.runTaskBatch({ body })).done, true);
  assert.equal((await todo.listTasks()).items.length, 1);
});

test("change with If-Match whose answer is lost returns the changed task", async () => {
  const { todo, received } = await behind("none", "lost answer");
  const { id, etag } = await todo.createTask({ body: { title: "Buy milk" } });
  const change = { title: "Buy oat milk", labels: ["home"], due_date: "2026-12-24" };
  const changed = await todo.updateTask({ task_id: id, "If-Match": etag, body: change });
  assert.deepEqual(changed, await todo.getTask({ task_id: id }));
  assert.deepEqual({ ...changed, ...change }, changed);
  assert.equal(received.filter(({ method }) => method === "PUT").length, 2);
});

test("change of another request is a conflict, also at a retry", async () => {
  const { todo } = await behind("none", "none", "lost request");
  const { id, etag } = await todo.createTask({ body: { title: "Buy milk" } });
  const changed = await todo.updateTask({ task_id: id, body: { title: "Buy rice milk" } });
  await assert.rejects(todo.updateTask({ task_id: id, "If-Match": etag, body: { title: "Buy tea" } }), (error) => {
    assert.ok(error instanceof TodoApiError && error.problem?.type === "/problems/task-changed");
    assert.deepEqual(error.problem.task, changed);
    return true;
  });
});

test("task is deleted with If-Match though the answer is lost", async () => {
  const { todo } = await behind("none", "lost answer");
  const { id, etag } = await todo.createTask({ body: { title: "Buy milk" } });
  assert.equal(await todo.deleteTask({ task_id: id, "If-Match": etag }), undefined);
  assert.deepEqual((await todo.listTasks()).items, []);
});

const unsafe: [string, (todo: TodoClient) => Promise<unknown>][] = [
  ["updateTask without If-Match", (todo) => todo.updateTask({ task_id: 1, body: { title: "Buy milk" } })],
  ["patchTask without If-Match", (todo) => todo.patchTask({ task_id: 1, body: { title: "Buy milk" } })],
  ["deleteTask without If-Match", (todo) => todo.deleteTask({ task_id: 1 })],
  ["renameLabel", (todo) => todo.renameLabel({ label: "home", body: { name: "house" } })],
];
for (const [name, call] of unsafe) {
  test(`${name} is not retried`, async () => {
    const { todo, received } = await behind("lost answer");
    await assert.rejects(call(todo), kind("network"));
    assert.equal(received.length, 1);
  });
}

for (const [name, fault] of [["429", problem(429, "too-many-requests", { "Retry-After": "5" })], ["503", unavailable("5")]] as const) {
  test(`${name} is retried after Retry-After`, async () => {
    const { todo, received } = await behind(fault, fault);
    assert.deepEqual((await todo.listTasks()).items, []);
    assert.equal(received.length, 3);
    assert.deepEqual(seconds, [5, 5]);
  });
}

test("wait without Retry-After grows, and is not the same for all clients", async () => {
  const { todo } = await behind(page, page, page);
  await todo.listTasks();
  assert.equal(seconds.length, 3);
  seconds.forEach((wait, retry) => assert.ok(wait >= 2 ** retry / 4 && wait < 2 ** retry / 2, String(wait)));
});

test("call that must wait for too long is not retried", async () => {
  const { todo, received } = await behind(unavailable("31"));
  await assert.rejects(todo.listTasks(), (error) => error instanceof TodoApiError && error.retryAfter === 31);
  assert.equal(received.length, 1);
});

test("waits of all retries together are bounded", async () => {
  const { todo, received } = await behind(unavailable("20"), unavailable("20"));
  await assert.rejects(todo.listTasks(), kind("problem"));
  assert.equal(received.length, 2);
  assert.deepEqual(seconds, [20]);
});

test("third retry is the last one", async () => {
  const { todo, received } = await behind(...Array.from({ length: 9 }, () => page));
  await assert.rejects(todo.listTasks(), kind("unexpected"));
  assert.equal(received.length, 4);
});

test("signed-out user is asked once", async () => {
  const { baseUrl } = await faulty();
  let asked = 0;
  const getToken = () => ((asked += 1), null);
  await assert.rejects(createTodoClient({ baseUrl, getToken }).listTasks(), kind("signed-out"));
  assert.equal(asked, 1);
});

test("no call is retried if retries is 0", async () => {
  const { baseUrl, received } = await faulty(page);
  const user = newUser();
  await assert.rejects(createTodoClient({ baseUrl, getToken: () => sign(user), retries: 0 }).listTasks(), kind("unexpected"));
  assert.equal(received.length, 1);
});

test("request in progress is retried", async () => {
  const { todo, received } = await behind(problem(409, "request-in-progress", { "Retry-After": "1" }));
  await todo.createTask({ body: { title: "Buy milk" } });
  assert.equal(received.length, 2);
});

for (const [status, type] of [[409, "too-many-tasks"], [500, "internal-error"], [422, "validation-failed"]] as const) {
  test(`${status} ${type} is not retried`, async () => {
    const { todo, received } = await behind(problem(status, type));
    await assert.rejects(todo.createTask({ body: { title: "Buy milk" } }), kind("problem"));
    assert.equal(received.length, 1);
  });
}
