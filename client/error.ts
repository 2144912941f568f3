import type { OperationId, Problem } from "./types.js";

/**
 * - `problem`: the service rejected the request; `problem` says why.
 * - `unexpected`: an answer that is not the service's, such as a proxy's page.
 * - `network`: no answer, or not all of it. Whether the request was carried out is unknown.
 * - `signed-out`: `getToken` returned null, so nothing was sent.
 */
export type FailureKind = "problem" | "unexpected" | "network" | "signed-out";

type Source = { response?: Response; problem?: Problem; cause?: unknown };

/** An operation that did not succeed. */
export class TodoApiError extends Error {
  override readonly name = "TodoApiError";
  /** Of the answer; 0 if there is none. */
  readonly status: number;
  readonly problem: Problem | undefined;
  /** Identifies the request in the log of the service. */
  readonly requestId: string | undefined;
  /** Seconds after which a retry may succeed, if the answer says so. */
  readonly retryAfter: number | undefined;

  constructor(readonly operation: OperationId, readonly kind: FailureKind, message: string, from: Source = {}) {
    super(`${operation}: ${message}`, "cause" in from ? { cause: from.cause } : undefined);
    this.status = from.response?.status ?? 0;
    this.problem = from.problem;
    this.requestId = from.problem?.request_id ?? from.response?.headers.get("X-Request-ID") ?? undefined;
    this.retryAfter = seconds(from.response?.headers.get("Retry-After"));
  }
}

/** Returns the error of an answer that is no success. `body` is the parsed one, if it is JSON. */
export function failureOf(operation: OperationId, response: Response, body?: unknown): TodoApiError {
  const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  if (isProblem && typeof body === "object" && body !== null && "type" in body && "detail" in body) {
    const problem = body as Problem;
    const message = `${response.status} ${problem.type}: ${problem.detail}`;
    return new TodoApiError(operation, "problem", message, { response, problem });
  }
  const message = `${response.status} from ${response.url || "a proxy"}, which is no answer of the service`;
  return new TodoApiError(operation, "unexpected", message, { response });
}

/** Reads the header Retry-After: seconds, or a date (RFC 9110, section 10.2.3). */
function seconds(value: string | null | undefined): number | undefined {
  if (!value) return undefined;
  const found = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(found) ? undefined : Math.max(0, found);
}
