import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { createTodoClient, TodoApiError, tokenFrom } from "todo-api-client";
import { faulty, newUser, problem, SERVICE, sign } from "./faults.ts";

const now = Date.now;
afterEach(() => (Date.now = now));

/** A client whose tokens are made by `make`, and the number of its tokens. */
function counted(make: (count: number) => string | null | Promise<string | null>, baseUrl = SERVICE) {
  const tokens = { count: 0 };
  const getToken = () => make((tokens.count += 1));
  return { todo: createTodoClient({ baseUrl, getToken, retries: 0 }), tokens };
}

const kind = (expected: string) => (error: unknown) => error instanceof TodoApiError && error.kind === expected;
const elapse = (seconds: number) => (Date.now = () => now() + 1000 * seconds);

test("calls at the same time share one request for a token", async () => {
  const user = newUser();
  const { todo, tokens } = counted(async () => sign(user));
  await Promise.all(Array.from({ length: 10 }, () => todo.listTasks()));
  assert.equal(tokens.count, 1);
});

test("token is kept until 30 s before it expires", async () => {
  const user = newUser();
  const { todo, tokens } = counted(() => sign(user, { exp: Math.floor(now() / 1000) + 600 }));
  await todo.listTasks();
  elapse(565);
  await todo.listTasks();
  assert.equal(tokens.count, 1);
  elapse(572);
  await todo.listTasks();
  assert.equal(tokens.count, 2);
});

test("token that is not new is kept until 30 s before it expires", async () => {
  const user = newUser();
  const seconds = Math.floor(now() / 1000);
  const { todo, tokens } = counted(() => sign(user, { iat: seconds - 500, exp: seconds + 100 }));
  await todo.listTasks();
  elapse(65);
  await todo.listTasks();
  assert.equal(tokens.count, 1);
  elapse(72);
  await todo.listTasks();
  assert.equal(tokens.count, 2);
});

test("token of a short life is kept for half of it", async () => {
  const user = newUser();
  const { todo, tokens } = counted(() => sign(user, { exp: Math.floor(now() / 1000) + 40 }));
  await todo.listTasks();
  elapse(18);
  await todo.listTasks();
  assert.equal(tokens.count, 1);
  elapse(21);
  await todo.listTasks();
  assert.equal(tokens.count, 2);
});

for (const [name, skew] of [["ahead", 7200], ["behind", -7200]] as const) {
  test(`token is kept though the clock is two hours ${name}`, async () => {
    const user = newUser();
    const seconds = Math.floor(now() / 1000);
    const { todo, tokens } = counted(() => sign(user, { iat: seconds, exp: seconds + 600 }));
    elapse(skew);
    await todo.listTasks();
    await todo.listTasks();
    assert.equal(tokens.count, 1);
    elapse(skew + 580);
    await todo.listTasks();
    assert.equal(tokens.count, 2);
  });
}

test("rejected token is replaced once, and the task is created once", async () => {
  const user = newUser();
  const { todo, tokens } = counted((count) => sign(user, {}, count === 1 ? "another secret of 32 bytes or more" : undefined));
  await todo.createTask({ body: { title: "Buy milk" } });
  assert.equal(tokens.count, 2);
  assert.equal((await todo.listTasks()).items.length, 1);
  assert.equal(tokens.count, 2);
});

test("second rejected token is an error with the problem", async () => {
  const user = newUser();
  const { todo, tokens } = counted(() => sign(user, {}, "another secret of 32 bytes or more"));
  await assert.rejects(todo.listTasks(), (error) => {
    assert.ok(error instanceof TodoApiError);
    assert.equal(error.problem?.type, "/problems/invalid-token");
    assert.equal(error.status, 401);
    return true;
  });
  assert.equal(tokens.count, 2);
});

test("calls whose token is rejected at the same time share the new one", async () => {
  const user = newUser();
  const { baseUrl, received } = await faulty(problem(401, "invalid-token"), problem(401, "invalid-token"));
  const { todo, tokens } = counted(async () => sign(user), baseUrl);
  await Promise.all([todo.listTasks(), todo.listLabels()]);
  assert.equal(tokens.count, 2);
  assert.equal(received.length, 4);
});

test("null is a signed-out user, and nothing is sent", async () => {
  const { baseUrl, received } = await faulty();
  const { todo } = counted(() => null, baseUrl);
  await assert.rejects(todo.listTasks(), kind("signed-out"));
  assert.equal(received.length, 0);
});

test("session that ends after a rejected token is a signed-out user", async () => {
  const user = newUser();
  const { todo } = counted((count) => (count === 1 ? sign(user, {}, "another secret of 32 bytes or more") : null));
  await assert.rejects(todo.listTasks(), kind("signed-out"));
});

test("failure of getToken is passed on, and the next call asks again", async () => {
  const user = newUser();
  const failure = new Error("no session server");
  const { todo } = counted((count) => (count === 1 ? Promise.reject(failure) : sign(user)));
  await assert.rejects(todo.listTasks(), failure);
  await todo.listTasks();
});

test("forgotten token is not used again, also if its request was under way", async () => {
  const [first, second] = [newUser(), newUser()];
  const { todo, tokens } = counted(async (count) => sign(count === 1 ? first : second));
  const pending = todo.createTask({ body: { title: "Of the first user" } });
  todo.forgetToken();
  assert.equal((await pending).user_id, first);
  const task = await todo.createTask({ body: { title: "Of the second user" } });
  assert.equal(task.user_id, second);
  assert.equal(tokens.count, 2);
  todo.forgetToken();
  await todo.listTasks();
  assert.equal(tokens.count, 3);
});

test("token without an expiry is not kept", async () => {
  const user = newUser();
  const { baseUrl } = await faulty(...Array.from({ length: 4 }, () => problem(403, "forbidden")));
  const { todo, tokens } = counted(() => `${sign(user).split(".")[0]}.x.y`, baseUrl);
  await assert.rejects(todo.listTasks({ user_id: user }), kind("problem"));
  await assert.rejects(todo.listTasks({ user_id: user }), kind("problem"));
  assert.equal(tokens.count, 2);
});

test("public operation requires no token", async () => {
  const { todo, tokens } = counted(() => null);
  assert.equal((await todo.getHealth()).status, "ok");
  assert.equal(tokens.count, 0);
});

test("token of another user than user_id is replaced by one new token", async () => {
  const [first, second] = [newUser(), newUser()];
  const { todo, tokens } = counted(async (count) => sign(count === 1 ? first : second));
  await todo.createTask({ body: { title: "Of the first user" } });
  const created = Array.from({ length: 5 }, () => todo.createTask({ user_id: second, body: { title: "Of the second" } }));
  assert.deepEqual((await Promise.all(created)).map((task) => task.user_id), Array(5).fill(second));
  assert.equal(tokens.count, 2);
});

test("user_id of another user is forbidden after one new token", async () => {
  const user = newUser();
  const { todo, tokens } = counted(() => sign(user));
  await todo.listTasks();
  await assert.rejects(todo.listTasks({ user_id: newUser() }), (error) => error instanceof TodoApiError && error.status === 403);
  assert.equal(tokens.count, 2);
});

/** A client whose tokens come from a route that gives this answer. */
async function routed(status: number, body: string) {
  const { baseUrl, received } = await faulty({ status, body });
  return { todo: createTodoClient({ baseUrl: SERVICE, getToken: tokenFrom(`${baseUrl}/token`) }), baseUrl, received };
}

test("tokenFrom fetches the token of a route", async () => {
  const user = newUser();
  const { todo, received } = await routed(200, JSON.stringify({ token: sign(user) }));
  assert.deepEqual((await todo.listTasks()).items, []);
  await todo.listTasks();
  assert.deepEqual(received.map(({ method, url }) => [method, url]), [["GET", "/token"]]);
});

test("tokenFrom takes 401 for a signed-out user", async () => {
  const { todo } = await routed(401, "{}");
  await assert.rejects(todo.listTasks(), kind("signed-out"));
});

for (const [name, status, body] of [
  ["403", 403, '{"token":"x"}'],
  ["500 without a body", 500, ""],
  ["a page", 200, "<h1>Sign in</h1>"],
  ["no token", 200, "{}"],
  ["null", 200, "null"],
  ["a number", 200, '{"token":1}'],
] as const) {
  test(`tokenFrom takes ${name} for a failure`, async () => {
    const { todo, baseUrl } = await routed(status, body);
    await assert.rejects(todo.listTasks(), { message: `no token: ${status} from ${baseUrl}/token` });
  });
}
