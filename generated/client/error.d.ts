import type { OperationId, Problem } from "./types.js";
/**
 * - `problem`: the service rejected the request; `problem` says why.
 * - `unexpected`: an answer that is not the service's, such as a proxy's page.
 * - `network`: no answer, or not all of it. Whether the request was carried out is unknown.
 * - `signed-out`: `getToken` returned null, so nothing was sent.
 */
export type FailureKind = "problem" | "unexpected" | "network" | "signed-out";
type Source = {
    response?: Response;
    problem?: Problem;
    cause?: unknown;
};
/** An operation that did not succeed. */
export declare class TodoApiError extends Error {
    readonly operation: OperationId;
    readonly kind: FailureKind;
    readonly name = "TodoApiError";
    /** Of the answer; 0 if there is none. */
    readonly status: number;
    readonly problem: Problem | undefined;
    /** Identifies the request in the log of the service. */
    readonly requestId: string | undefined;
    /** Seconds after which a retry may succeed, if the answer says so. */
    readonly retryAfter: number | undefined;
    constructor(operation: OperationId, kind: FailureKind, message: string, from?: Source);
}
/** Returns the error of an answer that is no success. `body` is the parsed one, if it is JSON. */
export declare function failureOf(operation: OperationId, response: Response, body?: unknown): TodoApiError;
export {};
