// What a frontend does with its tasks, once for all generators. Each *.ts file beside this one adapts the client of one
// generator to `Client`; if the generated types lose something that is needed here, the adapter does not compile.
import assert from "node:assert/strict";

interface Task {
  id: number;
  title: string;
  description: string | null;
  completed: boolean;
}

export interface Client {
  create(title: string): Promise<Task>;
  list(limit: number, cursor?: string): Promise<{ items: Task[]; next_cursor: string | null }>;
  // By PUT; `describe` is by PATCH.
  rename(task_id: number, title: string): Promise<Task>;
  describe(task_id: number, description: string | null): Promise<Task>;
  toggle(task_id: number, completed?: boolean): Promise<Task>;
  remove(task_id: number): Promise<void>;
  // The problem of getTask, narrowed by its status to that of a 404.
  missing(task_id: number): Promise<{ type: "/problems/task-not-found" }>;
  // The problem of createTask, narrowed by its status to that of a 422.
  rejected(title: string): Promise<{ errors: { code: string; pointer?: string }[] }>;
}

export function setting(name: "BASE_URL" | "USER_ID" | "TOKEN"): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

export async function run(client: Client): Promise<void> {
  const first = await client.create("Buy milk");
  const second = await client.create("Water the plants");
  assert.deepEqual([first.title, first.description, first.completed], ["Buy milk", null, false]);

  const newest = await client.list(1);
  assert.deepEqual(newest.items.map((task) => task.id), [second.id]);
  assert.ok(newest.next_cursor !== null);
  const last = await client.list(1, newest.next_cursor);
  assert.deepEqual(last.items.map((task) => task.id), [first.id]);
  assert.equal(last.next_cursor, null);

  assert.equal((await client.rename(first.id, "Buy oat milk")).title, "Buy oat milk");
  const described = await client.describe(first.id, "Two litres");
  assert.deepEqual([described.title, described.description], ["Buy oat milk", "Two litres"]);
  assert.equal((await client.describe(first.id, null)).description, null);

  assert.equal((await client.toggle(first.id)).completed, true);
  assert.equal((await client.toggle(first.id)).completed, false);
  assert.equal((await client.toggle(first.id, false)).completed, false);
  assert.equal((await client.toggle(first.id, true)).completed, true);

  for (const { id } of [first, second]) await client.remove(id);
  assert.equal((await client.missing(first.id)).type, "/problems/task-not-found");
  const [error] = (await client.rejected(" ")).errors;
  assert.deepEqual([error?.code, error?.pointer], ["blank", "#/title"]);
  console.log("completed");
}
