// The real Better Auth as a frontend runs it, on a free port, with everything in memory.
//
// Environment: BETTER_AUTH_SECRET, TODO_API_SECRET, ALGORITHM, COOKIE_CACHE (signed with the "secret" or a "key"),
// EXPIRATION_TIME of the tokens, NODE_ENV ("production" turns on Better Auth's rate limit).
// It prints {"url": ...} when it is ready, and ends when its standard input is closed.

import { AsyncLocalStorage } from "node:async_hooks";
import { createServer } from "node:http";
import { registerHooks } from "node:module";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { fromNodeHeaders, toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import { SignJWT } from "jose";

const { ALGORITHM, COOKIE_CACHE, EXPIRATION_TIME, TODO_API_SECRET } = process.env;

// Loads the frontend's route.ts and server-api.ts unchanged; this file replaces the modules of Next.js.
registerHooks({
  resolve: (specifier, context, next) =>
    ["next/headers", "@/lib/auth"].includes(specifier)
      ? { url: import.meta.url, shortCircuit: true }
      : next(specifier, context),
});
const incoming = new AsyncLocalStorage();
export const headers = async () => incoming.getStore();
export let auth;

const tables = { user: [], session: [], account: [], verification: [], jwks: [] };
const mails = new Map();

function plugin() {
  const sessionCookieCache = COOKIE_CACHE === "key";
  const own = { sessionCookieCache, jwt: { expirationTime: EXPIRATION_TIME } };
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
  if (url.pathname === "/api/token") {
    const { GET } = await import("./route.ts");
    const answered = await incoming.run(fromNodeHeaders(request.headers), GET);
    return response.writeHead(answered.status, Object.fromEntries(answered.headers)).end(await answered.text());
  }
  if (url.pathname === "/test/server-component") {
    process.env.NEXT_PUBLIC_API_URL = url.searchParams.get("api");
    const { serverApi } = await import("./server-api.ts");
    const page = async () => {
      const api = await serverApi();
      const params = { path: { user_id: url.searchParams.get("user") } };
      return (await api.GET("/api/{user_id}/tasks", { params })).response.status;
    };
    const status = await incoming.run(fromNodeHeaders(request.headers), page).catch((error) => error.statusCode);
    return response.end(JSON.stringify({ status }));
  }
  if (url.pathname === "/test/mail") return response.end(mails.get(url.searchParams.get("to")));
  if (url.pathname === "/test/rotate") return response.end(rotate());
  response.writeHead(404).end();
}

const server = createServer(answer).listen(0, "127.0.0.1", () => {
  process.env.BETTER_AUTH_URL = `http://127.0.0.1:${server.address().port}`;
  auth = betterAuth({
    database: memoryAdapter(tables),
    emailAndPassword: { enabled: true },
    emailVerification: { sendVerificationEmail: async ({ user, token }) => mails.set(user.email, token) },
    session: { cookieCache: { enabled: true, strategy: "jwt" } },
    plugins: [plugin()],
    logger: { level: "error" },
    telemetry: { enabled: false },
  });
  console.log(JSON.stringify({ url: process.env.BETTER_AUTH_URL }));
});
process.stdin.on("end", () => process.exit()).resume();
