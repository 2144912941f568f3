// The real Better Auth as a frontend runs it, on a free port, with everything in memory.
//
// Environment: BETTER_AUTH_SECRET, TODO_API_SECRET, ALGORITHM, COOKIE_CACHE (signed with the "secret" or a "key"),
// NODE_ENV ("production" turns on Better Auth's rate limit).
// It prints {"url": ...} when it is ready, and ends when its standard input is closed.

import { AsyncLocalStorage } from "node:async_hooks";
import { createServer } from "node:http";
import { registerHooks } from "node:module";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { SignJWT } from "jose";

const { ALGORITHM, COOKIE_CACHE, TODO_API_SECRET } = process.env;

// Loads the frontend's route.ts and server-todo.ts unchanged; this file replaces the modules of Next.js.
registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "todo-api-client") return next("../../generated/client/index.js", context);
    const isReplaced = ["next/headers", "@/lib/auth"].includes(specifier);
    return isReplaced ? { url: import.meta.url, shortCircuit: true } : next(specifier, context);
  },
});
const incoming = new AsyncLocalStorage();
export const headers = async () => incoming.getStore();
export let auth;
let other; // issues tokens of the same users and keys that the API rejects: for another audience

const tables = { user: [], session: [], account: [], verification: [], jwks: [] };
const mails = new Map();

function plugin(claims) {
  const own = { sessionCookieCache: COOKIE_CACHE === "key", jwt: claims };
  if (ALGORITHM !== "HS256") return jwt({ ...own, jwks: { keyPairConfig: { alg: ALGORITHM } } });
  const key = new TextEncoder().encode(TODO_API_SECRET);
  return jwt({
    // Better Auth requires remoteUrl with jwt.sign, and does not use it.
    jwks: { remoteUrl: "https://unused.invalid", keyPairConfig: { alg: "EdDSA" } },
    jwt: { sign: (claims) => new SignJWT(claims).setProtectedHeader({ alg: "HS256" }).sign(key) },
  });
}

// Rotates the key as if rotationInterval were over: the next signature creates a key, and the old one stays published.
function rotate() {
  for (const key of tables.jwks) key.expiresAt ??= new Date(Date.now() - 1);
}

async function answer(request, response) {
  const url = new URL(request.url, process.env.BETTER_AUTH_URL);
  if (url.pathname.startsWith("/api/auth/")) return toNodeHandler(auth)(request, response);
  if (url.pathname.startsWith("/api/other/")) return toNodeHandler(other)(request, response);
  if (url.pathname === "/api/token") {
    const { GET } = await import("./route.ts");
    const answered = await incoming.run(fromNodeHeaders(request.headers), GET);
    return response.writeHead(answered.status, Object.fromEntries(answered.headers)).end(await answered.text());
  }
  if (url.pathname === "/test/server-component") {
    process.env.NEXT_PUBLIC_API_URL = url.searchParams.get("api");
    const { serverTodo } = await import("./server-todo.ts");
    const page = async () => ({ users: (await serverTodo().listTasks()).items.map((task) => task.user_id) });
    const failed = (error) => ({ error: error.statusCode });
    const answered = await incoming.run(fromNodeHeaders(request.headers), page).catch(failed);
    return response.end(JSON.stringify(answered));
  }
  if (url.pathname === "/test/mail") return response.end(mails.get(url.searchParams.get("to")));
  if (url.pathname === "/test/rotate") return response.end(rotate());
  response.writeHead(404).end();
}

const server = createServer(answer).listen(0, "127.0.0.1", () => {
  process.env.BETTER_AUTH_URL = `http://127.0.0.1:${server.address().port}`;
  const options = {
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    emailVerification: { sendVerificationEmail: async ({ user, token }) => mails.set(user.email, token) },
    session: { cookieCache: { enabled: true, strategy: "jwt" } },
    logger: { level: "error" },
    telemetry: { enabled: false },
  };
  auth = betterAuth({ ...options, plugins: [plugin()] });
  other = betterAuth({ ...options, basePath: "/api/other", plugins: [plugin({ audience: "another" })] });
  console.log(JSON.stringify({ url: process.env.BETTER_AUTH_URL }));
});
process.stdin.on("end", () => process.exit()).resume();
