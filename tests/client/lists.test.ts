import assert from "node:assert/strict";
import { test } from "node:test";
import { createTodoClient, type Task } from "todo-api-client";
import { type Fault, faulty, newUser, problem, sign } from "./faults.ts";

async function behind(...faults: Fault[]) {
  const user = newUser();
  const { baseUrl, received } = await faulty(...faults);
  return { todo: createTodoClient({ baseUrl, getToken: () => sign(user) }), received, user };
}

async function gather<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

test("allTasks yields the tasks of every page that match", async () => {
  const { todo, received } = await behind();
  const body = {
    commands: Array.from({ length: 7 }, (_, index) => ({
      type: "create" as const,
      id: `${index}`,
      task: { title: `Task ${index}`, completed: index === 3, labels: ["home", "a&b"] },
    })),
  };
  await todo.runTaskBatch({ body });
  received.length = 0;
  const tasks = await gather(todo.allTasks({ completed: false, label: ["home", "a&b"], sort: "title", limit: 2 }));
  assert.deepEqual(tasks.map(({ title }) => title), [0, 1, 2, 4, 5, 6].map((index) => `Task ${index}`));
  assert.equal(received.length, 3);
});

test("allTasks requests no page that is not read", async () => {
  const { todo, received } = await behind();
  await todo.createTask({ body: { title: "One" } });
  await todo.createTask({ body: { title: "Two" } });
  for await (const _ of todo.allTasks({ limit: 1 })) break;
  assert.equal(received.filter(({ method }) => method === "GET").length, 1);
});

/** Applies changes to a copy of the tasks, and returns the token for the next time. */
async function synchronize(copy: Map<number, Task>, pages: ReturnType<Awaited<ReturnType<typeof behind>>["todo"]["changes"]>) {
  let since = "";
  for await (const page of pages) {
    if (page.restarted) copy.clear();
    page.changed.forEach((task) => copy.set(task.id, task));
    page.deleted.forEach((id) => copy.delete(id));
    since = page.next_since;
  }
  return since;
}

test("changes keep a copy equal to the tasks, deletions included", async () => {
  const { todo } = await behind();
  const copy = new Map<number, Task>();
  const first = await todo.createTask({ body: { title: "One" } });
  await todo.createTask({ body: { title: "Two" } });
  const since = await synchronize(copy, todo.changes());
  assert.deepEqual([...copy.values()].map(({ title }) => title), ["One", "Two"]);
  await todo.deleteTask({ task_id: first.id });
  await todo.createTask({ body: { title: "Three" } });
  await synchronize(copy, todo.changes(since));
  assert.deepEqual([...copy.values()], (await todo.listTasks({ sort: "created_at" })).items);
});

test("changes are followed over all pages", async () => {
  const { todo, received } = await behind();
  for (const _ of [1, 2]) {
    const command = (_: unknown, index: number) => ({ type: "create" as const, id: `${index}`, task: { title: "One" } });
    await todo.runTaskBatch({ body: { commands: Array.from({ length: 60 }, command) } });
  }
  received.length = 0;
  const pages = await gather(todo.changes());
  assert.equal(new Set(pages.flatMap(({ changed }) => changed.map(({ id }) => id))).size, 120);
  assert.deepEqual(pages.map(({ has_more }) => has_more), [true, false]);
  assert.equal(received.length, 2);
});

test("token that is too old starts again, and says so once", async () => {
  const { todo } = await behind("none", "none", "none", problem(410, "changes-expired"));
  const { id } = await todo.createTask({ body: { title: "One" } });
  await todo.createTask({ body: { title: "Two" } });
  const copy = new Map<number, Task>();
  const since = await synchronize(copy, todo.changes());
  copy.set(-1, copy.get(id)!);
  const pages = await gather(todo.changes(since));
  assert.deepEqual(pages.map(({ restarted }) => restarted), [true]);
  assert.equal(pages[0]!.changed.length, 2);
});

test("410 without a token is an error", async () => {
  const { todo } = await behind(problem(410, "changes-expired"));
  await assert.rejects(gather(todo.changes()), { status: 410 });
});

test("headers of a success are returned by their names", async () => {
  const { todo, user } = await behind("lost answer");
  const { status, data, headers } = await todo.answers.createTask({ body: { title: "One" } });
  assert.equal(status, 201);
  assert.equal(headers.location, `/api/${user}/tasks/${data.id}`);
  assert.equal(headers.etag, data.etag);
  assert.equal(headers["idempotency-replayed"], "true");
});

test("answer to If-None-Match is 304 without data until the task changes", async () => {
  const { todo } = await behind();
  const { id, etag } = await todo.createTask({ body: { title: "One" } });
  const same = await todo.answers.getTask({ task_id: id, "If-None-Match": etag });
  assert.equal(same.status, 304);
  assert.equal(same.data, undefined);
  await todo.updateTask({ task_id: id, body: { title: "Two" } });
  const changed = await todo.answers.getTask({ task_id: id, "If-None-Match": etag });
  assert.ok(changed.status === 200);
  assert.equal(changed.data.title, "Two");
});

test("exported tasks are imported by another user", async () => {
  const [{ todo: from }, { todo: to }] = [await behind(), await behind()];
  await from.createTask({ body: { title: "Äpfel 🍎" } });
  await from.createTask({ body: { title: "Buy milk" } });
  const lines = (await (await from.exportTasks()).text()).trimEnd().split("\n");
  assert.deepEqual(await to.importTasks({ body: lines.map((line) => JSON.parse(line)) }), { created: 2, existing: 0 });
  const table = await from.exportTasks({}, { headers: { Accept: "text/csv" } });
  assert.match(table.type, /^text\/csv/);
  assert.match(await table.text(), /Äpfel 🍎/);
});
