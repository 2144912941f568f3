// lib/api.ts
import createClient from "openapi-fetch";
import { authClient } from "@/lib/auth-client";
import type { paths } from "./schema";

export const api = createClient<paths>({ baseUrl: process.env.NEXT_PUBLIC_API_URL! });

type Token = { user: string; value: Promise<string | null>; until: number };
let kept: Token | undefined; // in memory only
authClient.$store.listen("$sessionSignal", () => (kept = undefined)); // sign-in, sign-out

// null: the user is signed out. A failure of Better Auth is an exception.
async function requestToken(): Promise<string | null> {
  const response = await fetch("/api/auth/token");
  if (response.status === 401 || response.status === 403) return null;
  if (!response.ok) throw new Error(`no token: ${response.status} from ${response.url}`);
  return (await response.json()).token;
}

// Milliseconds until 30 s before the token expires, or half of a lifetime below a minute. Computed from the token's own
// times, because the browser's clock may be wrong.
function usableFor(token: string): number {
  const payload = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
  const { iat, exp } = JSON.parse(atob(payload));
  return 1000 * Math.max(exp - iat - 30, (exp - iat) / 2);
}

function tokenFor(user: string): Token {
  if (kept?.user === user && Date.now() < kept.until) return kept;
  const token = { user, value: requestToken(), until: Infinity }; // calls in the meantime share the request
  token.value
    .then((value) => (token.until = value ? Date.now() + usableFor(value) : 0))
    .catch(() => (token.until = 0));
  return (kept = token);
}

async function authorize(request: Request, token: Token): Promise<Request> {
  const value = await token.value;
  if (value) request.headers.set("Authorization", `Bearer ${value}`);
  return request;
}

const sent = new WeakMap<Request, { token: Token; copy: Request }>();

api.use({
  async onRequest({ request, params }) {
    const user = params.path?.user_id;
    if (typeof user !== "string") return; // public operations need no token
    const token = tokenFor(user);
    sent.set(request, { token, copy: request.clone() }); // a body can be sent only once
    return authorize(request, token);
  },
  async onResponse({ request, response, options }) {
    const first = sent.get(request);
    if (first && response.status === 401 && request.headers.has("Authorization")) {
      first.token.until = 0;
      response = await options.fetch(await authorize(first.copy, tokenFor(first.token.user)));
    }
    // A proxy's answer, not the API's: after this check `error` is always a problem of the contract.
    if (!response.ok && !response.headers.get("Content-Type")?.startsWith("application/problem+json"))
      throw new Error(`${response.status} from ${response.url}`);
    return response;
  },
});
