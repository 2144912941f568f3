import assert from "node:assert/strict";
import { test } from "node:test";
import { createTodoClient, type Task, TodoApiError, type TodoClient } from "todo-api-client";
import { faulty, newUser, sign } from "./faults.ts";

async function withTask() {
  const user = newUser();
  const { baseUrl, received } = await faulty();
  const todo = createTodoClient({ baseUrl, getToken: () => sign(user) });
  return { todo, received, task: await todo.createTask({ body: { title: "Buy milk", labels: ["home"] } }) };
}

const changeElsewhere = (todo: TodoClient, { id }: Task) =>
  todo.updateTask({ task_id: id, body: { description: `Changed at ${Math.random()}` } });
const conflict = (error: unknown) => error instanceof TodoApiError && error.problem?.type === "/problems/task-changed";

test("two edits at once are merged, and neither is lost", async () => {
  const { todo, task } = await withTask();
  await todo.updateTask({ task_id: task.id, "If-Match": task.etag, body: { labels: ["home", "shop"] } });
  const merged = await todo.updateTask(
    { task_id: task.id, "If-Match": task.etag, body: { labels: ["home", "urgent"] } },
    { onConflict: (current, body) => ({ labels: [...new Set([...current.labels, ...(body?.labels ?? [])])] }) },
  );
  assert.deepEqual(merged.labels, ["home", "shop", "urgent"]);
});

test("conflict without a callback is an error with the task as it is now", async () => {
  const { todo, task } = await withTask();
  const changed = await changeElsewhere(todo, task);
  await assert.rejects(todo.patchTask({ task_id: task.id, "If-Match": task.etag, body: { title: "Buy tea" } }), (error) => {
    assert.ok(error instanceof TodoApiError && error.problem?.type === "/problems/task-changed");
    assert.deepEqual(error.problem.task, changed);
    return true;
  });
});

test("equal change of another request is a conflict, too", async () => {
  const { todo, task } = await withTask();
  const body = { title: "Buy tea" };
  await todo.updateTask({ task_id: task.id, body });
  await assert.rejects(todo.updateTask({ task_id: task.id, "If-Match": task.etag, body }), conflict);
});

test("callback that returns null gives up", async () => {
  const { todo, task, received } = await withTask();
  await changeElsewhere(todo, task);
  const call = todo.updateTask(
    { task_id: task.id, "If-Match": task.etag, body: { title: "Buy tea" } },
    { onConflict: async () => null },
  );
  await assert.rejects(call, conflict);
  assert.equal(received.length, 3);
});

test("conflict at each attempt ends after the fifth", async () => {
  const { todo, task } = await withTask();
  let merges = 0;
  await changeElsewhere(todo, task);
  const call = todo.updateTask(
    { task_id: task.id, "If-Match": task.etag, body: { title: "Buy tea" } },
    {
      onConflict: async (current, body) => {
        merges += 1;
        await changeElsewhere(todo, current);
        return body;
      },
    },
  );
  await assert.rejects(call, conflict);
  assert.equal(merges, 5);
});

test("toggle after a conflict is another request with another key", async () => {
  const { todo, task, received } = await withTask();
  await changeElsewhere(todo, task);
  const done = await todo.toggleTaskCompletion(
    { task_id: task.id, "If-Match": task.etag, body: { completed: true }, "Idempotency-Key": "mine" },
    { onConflict: (_, body) => body },
  );
  assert.equal(done.completed, true);
  const keys = received.filter(({ url }) => url.endsWith("/complete")).map(({ headers }) => headers["idempotency-key"]);
  assert.equal(keys[0], "mine");
  assert.ok(keys[1] && keys[1] !== "mine");
});

test("deletion after a conflict deletes the task", async () => {
  const { todo, task } = await withTask();
  await changeElsewhere(todo, task);
  await todo.deleteTask({ task_id: task.id, "If-Match": task.etag }, { onConflict: () => undefined });
  assert.deepEqual((await todo.listTasks()).items, []);
});
