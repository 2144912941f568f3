// A browser tab with the frontend's api.ts, unchanged. Runs the scenario named by the first argument, and prints its
// result and the requests as JSON.
//
// Environment: BETTER_AUTH_URL, NEXT_PUBLIC_API_URL, TOKEN_PATH (the route that issues the tokens).

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { registerHooks } from "node:module";

const { BETTER_AUTH_URL, NEXT_PUBLIC_API_URL, TOKEN_PATH = "/api/auth/token" } = process.env;

registerHooks({
  resolve: (specifier, context, next) => next(specifier.replace(/^@\/lib\/(.*)$/, `${import.meta.dirname}/$1.ts`), context),
  // The only change that docs/better-auth.md requires for the HS256 route.
  load(url, context, next) {
    const loaded = next(url, context);
    if (!url.endsWith("/api.ts")) return loaded;
    const source = loaded.source.toString();
    assert.equal(source.split('"/api/auth/token"').length, 2);
    return { ...loaded, source: source.replace('"/api/auth/token"', JSON.stringify(TOKEN_PATH)) };
  },
});

// Replaces the browser: resolves relative URLs, and sends cookies and the origin. `seen` records the requests.
const seen = { tokens: 0, calls: [] };
let cookies = {};
let authUrl = BETTER_AUTH_URL;
const send = globalThis.fetch;
globalThis.fetch = async (input, init) => {
  const request = new Request(typeof input === "string" && input.startsWith("/") ? authUrl + input : input, init);
  const url = new URL(request.url);
  if (url.origin === NEXT_PUBLIC_API_URL) {
    const call = { sub: subject(request.headers.get("Authorization")) };
    seen.calls.push(call);
    const response = await send(request);
    call.status = response.status;
    return response;
  }
  if (url.pathname === TOKEN_PATH) seen.tokens += 1;
  request.headers.set("Origin", BETTER_AUTH_URL);
  request.headers.set("Cookie", Object.entries(cookies).map((pair) => pair.join("=")).join("; "));
  const response = await send(request);
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
    if (/max-age=0/i.test(line)) delete cookies[name];
    else cookies[name] = value;
  }
  return response;
};

function subject(authorization) {
  if (!authorization) return null;
  return JSON.parse(Buffer.from(authorization.split(".")[1], "base64url")).sub;
}

const { authClient } = await import("./auth-client.ts");
const { api } = await import("./api.ts");
const TASKS = "/api/{user_id}/tasks";
const parallel = (count, action) => Promise.all(Array.from({ length: count }, (_, index) => action(index)));
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function signUp(name) {
  // In a token's payload, these characters produce "-" and "_" of base64url, and bytes that are not ASCII.
  const person = { name: `${name} >>>???Ž🍎`, email: `${crypto.randomUUID()}@example.com`, password: "correct horse battery" };
  const { data, error } = await authClient.signUp.email(person);
  assert.ok(data, error?.message);
  return { ...person, id: data.user.id, own: { params: { path: { user_id: data.user.id } } } };
}

const scenarios = {
  async "create and list"() {
    const user = await signUp("Ada");
    await api.POST(TASKS, { ...user.own, body: { title: "Buy milk" } });
    const { data } = await api.GET(TASKS, user.own);
    return { user: user.id, items: data.items };
  },

  async "300 calls"() {
    const user = await signUp("Ada");
    await parallel(20, () => api.GET(TASKS, user.own));
    const begin = performance.now();
    for (let call = 0; call < 280; call += 1) await api.GET(TASKS, user.own);
    return { milliseconds: (performance.now() - begin) / 280 };
  },

  async "first calls at once"() {
    const user = await signUp("Ada");
    await pause(50); // Better Auth's client announces a sign-in 10 ms later.
    await parallel(20, () => api.GET(TASKS, user.own));
  },

  async "public operations"() {
    const user = await signUp("Ada");
    await pause(50);
    for (let round = 0; round < 5; round += 1) {
      await api.GET("/health");
      await api.GET(TASKS, user.own);
    }
  },

  // The computer's clock is wrong by `hours`, also when the token is issued.
  async "wrong clock"(hours) {
    const user = await signUp("Ada");
    await pause(50);
    const now = Date.now;
    Date.now = () => now() + Number(hours) * 3_600_000;
    for (let call = 0; call < 10; call += 1) await api.GET(TASKS, user.own);
  },

  async "token used until half of a short lifetime"() {
    const user = await signUp("Ada");
    await pause(50);
    const end = performance.now() + 5_000;
    while (performance.now() < end) {
      await api.GET(TASKS, user.own);
      await pause(20);
    }
  },

  // The clock is frozen, so that only the API can detect that the token has expired.
  async "token expires unnoticed"() {
    const user = await signUp("Ada");
    await pause(50);
    await api.GET(TASKS, user.own);
    const now = Date.now;
    const frozen = now();
    Date.now = () => frozen;
    while (now() < frozen + 3_000) await pause(100);
    await parallel(20, (index) => api.POST(TASKS, { ...user.own, body: { title: `Task ${index}` } }));
    const { data } = await api.GET(TASKS, user.own);
    return { titles: data.items.map((task) => task.title).sort() };
  },

  async "every token is rejected"() {
    const user = await signUp("Ada");
    await pause(50);
    const { error } = await api.GET(TASKS, user.own);
    return { type: error.type };
  },

  async "sign out and in again"() {
    const user = await signUp("Ada");
    await api.GET(TASKS, user.own);
    await authClient.signOut();
    await pause(50);
    const { error } = await api.GET(TASKS, user.own);
    await authClient.signIn.email(user);
    const { response } = await api.GET(TASKS, user.own);
    return { type: error.type, then: response.status };
  },

  async "the next user at once"() {
    const first = await signUp("Ada");
    await pause(50);
    await api.GET(TASKS, first.own);
    await authClient.signOut();
    const second = await signUp("Grace");
    await api.GET(TASKS, second.own);
    return { users: [first.id, second.id] };
  },

  // Only the cookie changes, as after a sign-in in another tab, which sends this tab no signal.
  async "the next user in another tab"() {
    const second = await signUp("Grace");
    const others = cookies;
    cookies = {};
    const first = await signUp("Ada");
    await pause(50);
    await api.GET(TASKS, first.own);
    cookies = others;
    await api.GET(TASKS, second.own);
    return { users: [first.id, second.id] };
  },

  async "Better Auth cannot be reached"() {
    const user = await signUp("Ada");
    await pause(50);
    authUrl = "http://127.0.0.1:1";
    const failed = await parallel(2, () => api.GET(TASKS, user.own).catch((error) => error.name));
    authUrl = BETTER_AUTH_URL;
    const { response } = await api.GET(TASKS, user.own);
    return { failed, then: response.status };
  },

  async "Better Auth limits"() {
    const user = await signUp("Ada");
    await pause(50);
    const answers = await parallel(101, () => fetch(TOKEN_PATH));
    const failed = await api.GET(TASKS, user.own).catch((error) => error.message);
    return { limited: answers.filter((answer) => answer.status === 429).length, failed };
  },

  // A proxy in front of the API answers instead.
  async "an answer that is not the API's"() {
    const user = await signUp("Ada");
    const answers = { "text/html": "<h1>Bad Gateway</h1>", "text/plain": "", "application/json": '{"message":"no"}' };
    const proxy = createServer((request, response) => {
      const type = request.url.split("=")[1].replace("%2F", "/");
      response.writeHead(502, { "Content-Type": type }).end(answers[type]);
    }).listen(0, "127.0.0.1");
    await new Promise((resolve) => proxy.once("listening", resolve));
    const baseUrl = `http://127.0.0.1:${proxy.address().port}`;
    const failed = [];
    for (const cursor of Object.keys(answers)) {
      const options = { baseUrl, params: { ...user.own.params, query: { cursor } } };
      failed.push(await api.GET(TASKS, options).then(() => "answered", (error) => error.message.replace(baseUrl, "")));
    }
    proxy.closeAllConnections();
    proxy.close();
    return { failed };
  },
};

const [name, ...options] = process.argv.slice(2);
const result = await scenarios[name](...options);
console.log(JSON.stringify({ ...result, ...seen }));
