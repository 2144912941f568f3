/** An operation that did not succeed. */
export class TodoApiError extends Error {
    operation;
    kind;
    name = "TodoApiError";
    /** Of the answer; 0 if there is none. */
    status;
    problem;
    /** Identifies the request in the log of the service. */
    requestId;
    /** Seconds after which a retry may succeed, if the answer says so. */
    retryAfter;
    constructor(operation, kind, message, from = {}) {
        super(`${operation}: ${message}`, "cause" in from ? { cause: from.cause } : undefined);
        this.operation = operation;
        this.kind = kind;
        this.status = from.response?.status ?? 0;
        this.problem = from.problem;
        this.requestId = from.problem?.request_id ?? from.response?.headers.get("X-Request-ID") ?? undefined;
        this.retryAfter = seconds(from.response?.headers.get("Retry-After"));
    }
}
/** Returns the error of an answer that is no success. `body` is the parsed one, if it is JSON. */
export function failureOf(operation, response, body) {
    const isProblem = response.headers.get("Content-Type")?.startsWith("application/problem+json");
    if (isProblem && typeof body === "object" && body !== null && "type" in body && "detail" in body) {
        const problem = body;
        const message = `${response.status} ${problem.type}: ${problem.detail}`;
        return new TodoApiError(operation, "problem", message, { response, problem });
    }
    const message = `${response.status} from ${response.url || "a proxy"}, which is no answer of the service`;
    return new TodoApiError(operation, "unexpected", message, { response });
}
/** Reads the header Retry-After: seconds, or a date (RFC 9110, section 10.2.3). */
function seconds(value) {
    if (!value)
        return undefined;
    const found = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
    return Number.isNaN(found) ? undefined : Math.max(0, found);
}
