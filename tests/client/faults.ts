// A proxy in front of the service that loses answers, or gives its own. It records what it received.
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after } from "node:test";

export type Answer = { status: number; headers?: Record<string, string>; body?: string };
/** What becomes of a request. `lost answer`: the service has carried it out; `lost request`: it has not seen it. */
export type Fault = "none" | "lost answer" | "lost request" | "half an answer" | Answer;
export type Received = { method: string; url: string; headers: IncomingMessage["headers"]; body: string };

export const SERVICE = process.env.BASE_URL!;

/** Returns the URL of a proxy whose first requests have these faults, and the list of requests that it receives. */
export async function faulty(...faults: Fault[]): Promise<{ baseUrl: string; received: Received[] }> {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { method = "", url = "", headers } = request;
    received.push({ method, url, headers, body });
    const fault = faults.shift() ?? "none";
    if (typeof fault === "object") return void answer(response, fault);
    if (fault === "lost request") return void request.socket.destroy();
    const passed = await fetch(SERVICE + url, { method, headers: passable(headers), ...(body && { body }) });
    const text = await passed.text();
    if (fault === "lost answer") return void request.socket.destroy();
    if (fault === "half an answer") {
      response.writeHead(passed.status, { "Content-Type": "application/json", "Content-Length": text.length });
      return void response.write(text.slice(0, 5), () => request.socket.destroy());
    }
    const { "content-length": _, ...others } = Object.fromEntries(passed.headers);
    answer(response, { status: passed.status, headers: others, body: text });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => (server.closeAllConnections(), server.close()));
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, received };
}

function answer(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers).end(body);
}

function passable(headers: IncomingMessage["headers"]): Record<string, string> {
  const { host: _host, connection: _connection, "content-length": _length, ...others } = headers;
  return others as Record<string, string>;
}

/** An answer of the service, such as one that tests cannot cause. */
export function problem(status: number, type: string, headers: Record<string, string> = {}): Answer {
  const body = { type: `/problems/${type}`, title: type, status, detail: "Text.", instance: "/requests/1", request_id: "1" };
  return { status, headers: { "Content-Type": "application/problem+json", ...headers }, body: JSON.stringify(body) };
}

export type Claims = { iat?: number; exp?: number };
const realNow = Date.now;
const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");

/** Returns a token that the service accepts. Without `claims`, it is valid for ten minutes. */
export function sign(user: string, claims: Claims = {}, secret = process.env.SECRET!): string {
  const now = Math.floor(realNow() / 1000);
  const signed = `${base64({ alg: "HS256" })}.${base64({ sub: user, iat: now, exp: now + 600, ...claims })}`;
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

let users = 0;
/** Returns the id of a user without tasks. */
export const newUser = (): string => `${process.env.USER_PREFIX}-${process.pid}-${(users += 1)}`;

/** Ends the client's waits at once, and returns their seconds. The waits of fetch stay as they are. */
export function waits(): number[] {
  const seconds: number[] = [];
  const real = globalThis.setTimeout;
  const fake = (action: () => void, milliseconds = 0, ...given: unknown[]) => {
    if (!new Error().stack!.includes("todo-api-client")) return real(action, milliseconds, ...given);
    seconds.push(milliseconds / 1000);
    return real(action, 0);
  };
  globalThis.setTimeout = fake as typeof setTimeout;
  after(() => (globalThis.setTimeout = real));
  return seconds;
}
