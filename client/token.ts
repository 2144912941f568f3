export interface Token {
  text: string;
  /** The user: `sub`. */
  user: string | undefined;
}
type Kept = { request: Promise<Token | null>; token?: Token | null; until: number };

/**
 * Returns a `getToken` that fetches `{"token": "…"}` from a route of the frontend. 401 means that the user is signed out;
 * every other answer without a token is an exception.
 */
export const tokenFrom = (url: string) => async (): Promise<string | null> => {
  const response = await fetch(url, { credentials: "include" });
  if (response.status === 401) return null;
  const token: unknown = response.ok ? (await response.json().catch(() => null))?.token : undefined;
  if (typeof token !== "string") throw new Error(`no token: ${response.status} from ${response.url}`);
  return token;
};

/** Keeps the token of one user. Calls at the same time share one request for it. */
export class TokenKeeper {
  #kept: Kept | undefined;

  constructor(readonly getToken: () => string | null | Promise<string | null>) {}

  /** Returns the token; null: the user is signed out. Rejects if `getToken` does. */
  get(): Promise<Token | null> {
    if (this.#kept && Date.now() < this.#kept.until) return this.#kept.request;
    const answer = async () => this.getToken();
    const request = answer().then((text) => (text ? { text, user: claims(text).sub } : null));
    const kept: Kept = { request, until: Infinity };
    const keep = (token: Token | null) =>
      Object.assign(kept, { token, until: token ? Date.now() + usableFor(token.text) : 0 });
    request.then(keep, () => (kept.until = 0));
    this.#kept = kept;
    return request;
  }

  /** Forgets the kept token, also one that is being requested; with `rejected`, only if it is that one. */
  forget(rejected?: Token): void {
    if (!rejected || this.#kept?.token === rejected) this.#kept = undefined;
  }
}

function claims(token: string): { sub?: string; iat?: number; exp?: number } {
  try {
    const payload = atob(token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(payload, (each) => each.charCodeAt(0))));
  } catch {
    return {};
  }
}

/** Milliseconds until 30 s before the token expires, or half of the time until then if that is less than a minute. */
function usableFor(token: string): number {
  const now = Date.now() / 1000;
  const { iat = now, exp = now } = claims(token);
  // A clock outside of the token's lifetime is wrong: the token is taken for a new one.
  const left = exp - (iat <= now && now < exp ? now : iat);
  return 1000 * Math.max(left - 30, left / 2);
}
