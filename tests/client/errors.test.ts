import assert from "node:assert/strict";
import { test } from "node:test";
import { createTodoClient, type FailureKind, TodoApiError } from "todo-api-client";
import { type Fault, faulty, newUser, problem, SERVICE, sign } from "./faults.ts";

function clientOf(baseUrl: string) {
  const user = newUser();
  return createTodoClient({ baseUrl, getToken: () => sign(user), retries: 0 });
}

async function failure(call: Promise<unknown>): Promise<TodoApiError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof TodoApiError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: "the call succeeded" });
}

test("problem of the service has its type, errors and request id", async () => {
  const error = await failure(clientOf(SERVICE).createTask({ body: { title: " " } }));
  assert.equal(error.kind, "problem");
  assert.equal(error.status, 422);
  assert.ok(error.problem?.type === "/problems/validation-failed");
  assert.deepEqual(error.problem.errors.map((each) => each.pointer), ["#/title"]);
  assert.equal(error.requestId, error.problem.request_id);
  assert.match(error.message, /^createTask: 422 \/problems\/validation-failed: /);
  assert.equal(error.operation, "createTask");
});

const html = { "Content-Type": "text/html", "X-Request-ID": "of-the-proxy" };
const json = { "Content-Type": "application/json" };
const broken = { "Content-Type": "application/problem+json" };
const answers: [string, Fault, FailureKind, number][] = [
  ["HTML of a proxy", { status: 502, headers: html, body: "<h1>Bad gateway</h1>" }, "unexpected", 502],
  ["empty body", { status: 500, body: "" }, "unexpected", 500],
  ["JSON of another program", { status: 404, headers: json, body: '{"error":"not found"}' }, "unexpected", 404],
  ["problem that is not JSON", { status: 500, headers: broken, body: "{" }, "unexpected", 500],
  ["problem that is null", { status: 500, headers: broken, body: "null" }, "unexpected", 500],
  ["success with a page", { status: 200, headers: html, body: "<h1>Sign in to the Wi-Fi</h1>" }, "unexpected", 200],
  ["success without a body", { status: 200, headers: json, body: "" }, "unexpected", 200],
  ["success with half of JSON", { status: 200, headers: json, body: '{"items": [' }, "unexpected", 200],
  ["lost request", "lost request", "network", 0],
  ["lost answer", "lost answer", "network", 0],
  ["half an answer", "half an answer", "network", 0],
];
for (const [name, fault, kind, status] of answers) {
  test(`${name} is an error of the kind ${kind}`, async () => {
    const error = await failure(clientOf((await faulty(fault)).baseUrl).listTasks());
    assert.equal(error.kind, kind);
    assert.equal(error.status, status);
    assert.equal(error.problem, undefined);
    assert.equal(error.requestId, fault === answers[0]![1] || name === "success with a page" ? "of-the-proxy" : undefined);
  });
}

test("page instead of an export is an error", async () => {
  const { baseUrl } = await faulty({ status: 200, headers: html, body: "<h1>Sign in</h1>" });
  assert.equal((await failure(clientOf(baseUrl).exportTasks())).kind, "unexpected");
});

test("refused connection is an error with its cause", async () => {
  const error = await failure(clientOf("http://127.0.0.1:1").listTasks());
  assert.equal(error.kind, "network");
  assert.ok(error.cause instanceof TypeError);
});

const dates: [string, string, (seconds: number | undefined) => boolean][] = [
  ["seconds", "7", (seconds) => seconds === 7],
  ["a date", new Date(Date.now() + 3_600_000).toUTCString(), (seconds) => seconds! > 3000 && seconds! <= 3600],
  ["a date in the past", new Date(0).toUTCString(), (seconds) => seconds === 0],
  ["a text", "soon", (seconds) => seconds === undefined],
];
for (const [name, value, isRight] of dates) {
  test(`Retry-After with ${name} is read`, async () => {
    const { baseUrl } = await faulty(problem(503, "database-unavailable", { "Retry-After": value }));
    const error = await failure(clientOf(baseUrl).listTasks());
    assert.ok(isRight(error.retryAfter), String(error.retryAfter));
  });
}

test("aborted call rejects with the reason of its signal", async () => {
  const reason = new Error("the page was left");
  await assert.rejects(clientOf(SERVICE).listTasks({}, { signal: AbortSignal.abort(reason) }), reason);
});

test("wait for a retry ends with the signal", async () => {
  const { baseUrl } = await faulty(problem(503, "database-unavailable", { "Retry-After": "30" }));
  const user = newUser();
  const aborter = new AbortController();
  const reason = new Error("the page was left");
  const [realSet, realClear] = [globalThis.setTimeout, globalThis.clearTimeout];
  const waits: unknown[] = [];
  const cleared: unknown[] = [];
  globalThis.setTimeout = ((...given: Parameters<typeof realSet>) => {
    const timer = realSet(...given);
    if (new Error().stack!.includes("todo-api-client")) {
      waits.push(timer);
      queueMicrotask(() => aborter.abort(reason));
    }
    return timer;
  }) as typeof realSet;
  globalThis.clearTimeout = (timer) => (cleared.push(timer), realClear(timer));
  try {
    const todo = createTodoClient({ baseUrl, getToken: () => sign(user) });
    await assert.rejects(todo.listTasks({}, { signal: aborter.signal }), reason);
  } finally {
    [globalThis.setTimeout, globalThis.clearTimeout] = [realSet, realClear];
  }
  assert.equal(waits.length, 1);
  assert.ok(cleared.includes(waits[0]), "the wait goes on");
});

test("baseUrl that is no URL is rejected before the first call", () => {
  assert.throws(() => clientOf("todo.example.com"), TypeError);
});

test("token is in no error", async () => {
  const token = sign(newUser());
  const { baseUrl } = await faulty("lost request", { status: 502, headers: html, body: "" }, problem(403, "forbidden"));
  const todo = createTodoClient({ baseUrl, getToken: () => token, retries: 0 });
  for (const _ of [1, 2, 3]) {
    const error = await failure(todo.listTasks());
    assert.ok(!JSON.stringify([error, error.message, String(error.cause), error.stack]).includes(token));
  }
});
