// A browser with one tab: it resolves relative URLs, keeps cookies, and records the requests.
//
// Environment: BETTER_AUTH_URL, NEXT_PUBLIC_API_URL.
import { registerHooks } from "node:module";
import type { authClient as AuthClient } from "./auth-client.ts";
import type { todo as Todo } from "./todo.ts";

export const AUTH = process.env.BETTER_AUTH_URL!;
const API = process.env.NEXT_PUBLIC_API_URL!;
const RECIPE = '"/api/auth/token"';

// A query makes another instance of the recipes: it has the number of the tab, and the route of the tokens.
registerHooks({
  resolve(specifier, context, next) {
    if (specifier === "todo-api-client") return next("../../generated/client/index.js", context);
    const { search } = new URL(context.parentURL!);
    return next(specifier.replace(/^@\/lib\/(.*)$/, `./$1.ts${search}`), context);
  },
  // The only change that docs/better-auth.md requires for the HS256 route.
  load(url, context, next) {
    const loaded = next(url, context);
    const route = new URL(url).searchParams.get("tokens");
    if (!route || !url.includes("/todo.ts")) return loaded;
    const source = String(loaded.source);
    if (source.split(RECIPE).length !== 2) throw new Error("lib/todo.ts has another route of tokens");
    return { ...loaded, source: source.replace(RECIPE, JSON.stringify(route)) };
  },
});

type Call = { user: string | null; algorithm: string | null; status: number };
type Cookies = Record<string, string>;
export class Tab {
  static #count = 0;
  static current: Tab;
  authClient!: typeof AuthClient;
  todo!: typeof Todo;
  cookies: Cookies = {};
  /** The origin of Better Auth. */
  origin = AUTH;
  /** Statuses of the answers to requests for a token. */
  tokens: number[] = [];
  /** Requests to the API. */
  calls: Call[] = [];
  /** The routes that answer the next requests for a token, instead of the recipe's. */
  routes: string[] = [];
  readonly number = (Tab.#count += 1);

  static async open(tokens = "/api/auth/token"): Promise<Tab> {
    const tab = (Tab.current = new Tab());
    const query = new URLSearchParams({ number: String(tab.number), tokens });
    ({ authClient: tab.authClient } = await import(`./auth-client.ts?${query}`));
    ({ todo: tab.todo } = await import(`./todo.ts?${query}`));
    return tab;
  }

  async signUp(name: string) {
    // In a token's payload, these characters produce "-" and "_" of base64url, and bytes that are not ASCII.
    const person = { name: `${name} >>>???Ž🍎`, email: `${crypto.randomUUID()}@example.com`, password: "correct horse" };
    const { data, error } = await this.authClient.signUp.email(person);
    if (!data) throw new Error(error.message);
    return { ...person, id: data.user.id };
  }

  /** Waits for the signal by which Better Auth's client announces the last sign-in, 10 ms later. */
  signal(): Promise<void> {
    return new Promise((resolve) => {
      let isFirst = true; // a listener is called at once with the present value
      this.authClient.$store.listen("$sessionSignal", () => (isFirst ? (isFirst = false) : resolve()));
    });
  }

  async fetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
    const relative = typeof input === "string" && input.startsWith("/");
    const route = relative && input.endsWith("/token") ? (this.routes.shift() ?? input) : input;
    const request = new Request(relative ? this.origin + route : input, init);
    if (request.url.startsWith(API)) return this.#callApi(request);
    request.headers.set("Origin", AUTH);
    request.headers.set("Cookie", Object.entries(this.cookies).map((pair) => pair.join("=")).join("; "));
    // Better Auth counts the requests of each address.
    request.headers.set("X-Forwarded-For", `192.0.2.${this.number}`);
    const response = await send(request);
    if (relative) this.tokens.push(response.status);
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/)!;
      if (/max-age=0/i.test(line)) delete this.cookies[name!];
      else this.cookies[name!] = value!;
    }
    return response;
  }

  async #callApi(request: Request): Promise<Response> {
    const [header, payload] = request.headers.get("Authorization")?.split(".") ?? [];
    const response = await send(request);
    this.calls.push({ user: part(payload)?.sub ?? null, algorithm: part(header)?.alg ?? null, status: response.status });
    return response;
  }
}

function part(text: string | undefined): { sub?: string; alg?: string } | undefined {
  return text && JSON.parse(Buffer.from(text.replace("Bearer ", ""), "base64url").toString());
}

const send = globalThis.fetch;
globalThis.fetch = (input, init) => Tab.current.fetch(input, init);
