// What a frontend does with its tasks, once for all generators: with the service, or with the mock if MOCK is set. Each *.ts file beside this one adapts the client of one
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

// The headers of each request. Set here, because each generated client has another way to add a header to one call.
const headers = new Map<string, string>();
const send = globalThis.fetch;
globalThis.fetch = (input, init) => {
  const request = new Request(input, init);
  headers.forEach((value, name) => request.headers.set(name, value));
  return send(request);
};

export async function run(client: Client): Promise<void> {
  await (process.env["MOCK"] ? callMock(client) : callService(client));
  console.log("completed");
}

async function callService(client: Client): Promise<void> {
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
}

// The mock rejects a request that violates the contract. It keeps nothing: each answer is an example of the contract, and
// the first one of a success unless `Prefer` chooses another. What does not hold is that an answer follows from the
// calls before it.
async function callMock(client: Client): Promise<void> {
  const created = await client.create("Buy milk");
  assert.deepEqual([created.title, created.completed], ["Buy milk", false]);

  const newest = await client.list(2);
  assert.ok(newest.next_cursor !== null);
  const cursor = newest.next_cursor;
  const last = await prefer("example=last", () => client.list(2, cursor));
  assert.deepEqual(last.items.map((task) => task.id), [created.id]);
  assert.equal(last.next_cursor, null);

  assert.equal((await client.rename(created.id, "Buy oat milk")).title, "Buy oat milk");
  assert.equal((await client.describe(created.id, "Two litres")).description, "Two litres");
  assert.equal((await prefer("example=cleared", () => client.describe(created.id, null))).description, null);

  assert.equal((await client.toggle(created.id)).completed, true);
  assert.equal((await prefer("example=reopened", () => client.toggle(created.id))).completed, false);
  assert.equal((await prefer("example=reopened", () => client.toggle(created.id, false))).completed, false);
  assert.equal((await client.toggle(created.id, true)).completed, true);

  await client.remove(created.id);
  assert.equal((await prefer("status=404", () => client.missing(created.id))).type, "/problems/task-not-found");
  const [error] = (await client.rejected(" ")).errors;
  assert.deepEqual([error?.code, error?.pointer], ["blank", "#/title"]);
}

async function prefer<Answer>(preference: string, call: () => Promise<Answer>): Promise<Answer> {
  headers.set("Prefer", preference);
  try {
    return await call();
  } finally {
    headers.delete("Prefer");
  }
}
