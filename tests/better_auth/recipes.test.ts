// The recipes of docs/better-auth.md, unchanged, with the client that the service serves, against the real Better Auth in
// production mode.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, test } from "node:test";
import { TodoApiError } from "../../generated/client/index.js";
import { AUTH, Tab } from "./browser.ts";

const now = Date.now;
afterEach(() => (Date.now = now));
const elapse = (seconds: number) => (Date.now = () => now() + 1000 * seconds);
const kind = (expected: string) => (error: unknown) => error instanceof TodoApiError && error.kind === expected;
const parallel = <T>(count: number, action: (index: number) => Promise<T>) =>
  Promise.all(Array.from({ length: count }, (_, index) => action(index)));

async function signedUp(tokens?: string) {
  const tab = await Tab.open(tokens);
  const signal = tab.signal();
  const user = await tab.signUp("Ada");
  await signal;
  return { tab, user, todo: tab.todo };
}

test("user creates and lists a task right after signing up", async () => {
  const tab = await Tab.open();
  const user = await tab.signUp("Ada");
  await tab.todo.createTask({ body: { title: "Buy milk" } });
  const { items } = await tab.todo.listTasks();
  assert.deepEqual(items.map((task) => [task.title, task.user_id]), [["Buy milk", user.id]]);
});

test("HS256 route is a source of tokens", async () => {
  const { tab, todo } = await signedUp("/api/token");
  await todo.listTasks();
  assert.deepEqual(tab.calls.map((call) => [call.algorithm, call.status]), [["HS256", 200]]);
  tab.cookies = {};
  todo.forgetToken();
  await assert.rejects(todo.listTasks(), kind("signed-out"));
});

test("120 calls are below the limit of Better Auth, because they take one token", async () => {
  const { tab, todo } = await signedUp();
  for (let call = 0; call < 100; call += 1) await todo.listTasks();
  await parallel(20, () => todo.listTasks());
  assert.deepEqual(tab.calls.map((call) => [call.algorithm, call.status]), Array(120).fill(["EdDSA", 200]));
  assert.deepEqual(tab.tokens, [200]);
});

test("first calls at once share one request for a token", async () => {
  const { tab, todo } = await signedUp();
  await parallel(20, () => todo.listTasks());
  assert.deepEqual(tab.tokens, [200]);
});

test("public operation is called without a token, and the kept token stays", async () => {
  const { tab, user, todo } = await signedUp();
  for (let round = 0; round < 3; round += 1) {
    await todo.getHealth();
    await todo.listTasks();
  }
  assert.deepEqual(tab.calls.map((call) => call.user), [null, user.id, null, user.id, null, user.id]);
  assert.deepEqual(tab.tokens, [200]);
});

test("token of 15 minutes is kept until 30 s before it expires", async () => {
  const { tab, todo } = await signedUp();
  await todo.listTasks();
  elapse(15 * 60 - 35);
  await todo.listTasks();
  assert.deepEqual(tab.tokens, [200]);
  elapse(15 * 60 - 25);
  await todo.listTasks();
  assert.deepEqual(tab.tokens, [200, 200]);
});

for (const [name, seconds] of [["ahead", 3600], ["behind", -3600]] as const) {
  test(`token is kept though the clock is an hour ${name}`, async () => {
    const { tab, todo } = await signedUp();
    elapse(seconds);
    await todo.listTasks();
    await todo.listTasks();
    assert.deepEqual(tab.tokens, [200]);
  });
}

test("calls whose token is rejected are sent again with one new token", async () => {
  const { tab, todo } = await signedUp();
  tab.routes = ["/api/other/token"];
  await parallel(20, (index) => todo.createTask({ body: { title: `Task ${index}` } }));
  assert.equal((await todo.listTasks()).items.length, 20);
  const statuses = tab.calls.map((call) => call.status).sort();
  assert.deepEqual(statuses, [200, ...Array(20).fill(201), ...Array(20).fill(401)]);
  assert.deepEqual(tab.tokens, [200, 200]);
});

test("token that is rejected twice is a problem", async () => {
  const { tab, todo } = await signedUp("/api/other/token");
  const invalid = (error: TodoApiError) => error.problem?.type === "/problems/invalid-token";
  await assert.rejects(todo.listTasks(), invalid);
  assert.deepEqual(tab.calls.map((call) => call.status), [401, 401]);
  assert.deepEqual(tab.tokens, [200, 200]);
});

test("signed-out user gets signed-out, and nothing is sent until the next sign-in", async () => {
  const { tab, user, todo } = await signedUp();
  await todo.listTasks();
  const signal = tab.signal();
  await tab.authClient.signOut();
  await signal;
  await assert.rejects(todo.listTasks(), kind("signed-out"));
  await tab.authClient.signIn.email(user);
  await todo.listTasks();
  assert.deepEqual(tab.calls.map((call) => [call.user, call.status]), [[user.id, 200], [user.id, 200]]);
});

test("next user gets the own tasks right after signing up", async () => {
  const { tab, user, todo } = await signedUp();
  await todo.listTasks();
  await tab.authClient.signOut();
  const next = await tab.signUp("Grace");
  await todo.listTasks();
  assert.deepEqual(tab.calls.map((call) => call.user), [user.id, next.id]);
});

test("user_id of a user who has signed in in another tab replaces the token", async () => {
  const { tab, user, todo } = await signedUp();
  const first = tab.cookies;
  tab.cookies = {};
  const next = await tab.signUp("Grace");
  const second = tab.cookies;
  // Only the cookie changes, because a sign-in in another tab sends this tab no signal.
  tab.cookies = first;
  await tab.signal();
  await todo.listTasks();
  tab.cookies = second;
  await parallel(5, () => todo.listTasks({ user_id: next.id }));
  assert.deepEqual(tab.calls.map((call) => [call.user, call.status]), [[user.id, 200], ...Array(5).fill([next.id, 200])]);
  assert.deepEqual(tab.tokens, [200, 200]);
});

test("user is not signed out if Better Auth cannot be reached", async () => {
  const { tab, todo } = await signedUp();
  tab.origin = "http://127.0.0.1:1";
  await parallel(2, () => assert.rejects(todo.listTasks(), TypeError));
  assert.deepEqual(tab.calls, []);
  tab.origin = AUTH;
  await todo.listTasks();
});

test("user is not signed out if Better Auth limits the requests", async () => {
  const { tab, todo } = await signedUp();
  await parallel(100, () => fetch("/api/auth/token"));
  await assert.rejects(todo.listTasks(), { message: `no token: 429 from ${AUTH}/api/auth/token` });
  assert.deepEqual(tab.tokens, [...Array(100).fill(200), 429]);
  assert.deepEqual(tab.calls, []);
});

test("page of a proxy is an unexpected answer", async (context) => {
  const proxy = createServer((_, response) => {
    response.writeHead(502, { "Content-Type": "text/html", "Retry-After": "0" }).end("<h1>Bad Gateway</h1>");
  }).listen(0, "127.0.0.1");
  context.after(() => (proxy.closeAllConnections(), proxy.close()));
  await new Promise((resolve) => proxy.once("listening", resolve));
  const api = process.env.NEXT_PUBLIC_API_URL!;
  process.env.NEXT_PUBLIC_API_URL = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  context.after(() => (process.env.NEXT_PUBLIC_API_URL = api));
  const { todo } = await signedUp();
  await assert.rejects(todo.listTasks(), kind("unexpected"));
});

/** Returns the users whose tasks the page has, as JSON. */
const page = async () => (await fetch(`${AUTH}/test/server-component?api=${process.env.NEXT_PUBLIC_API_URL}`)).text();

test("Server Components get tokens of their own users, beyond the limit of Better Auth", async () => {
  const { tab, user } = await signedUp();
  await tab.todo.createTask({ body: { title: "Of Ada" } });
  const first = tab.cookies;
  tab.cookies = {};
  await tab.signUp("Grace");
  const second = tab.cookies;
  const pages = await parallel(120, (index) => {
    tab.cookies = index % 2 ? second : first;
    return page();
  });
  const expected = [`{"users":["${user.id}"]}`, '{"users":[]}'];
  assert.deepEqual(pages, pages.map((_, index) => expected[index % 2]));
});

test("Server Component of a signed-out user gets the 401 of Better Auth", async () => {
  await Tab.open();
  assert.equal(await page(), '{"error":401}');
});
