import createClient from "./openapi-fetch.js";
import { failureOf, TodoApiError } from "./error.js";
import { OPERATIONS } from "./operations.js";
const LONGEST_WAIT = 30; // seconds in one call, over all its retries
const MOST_CONFLICTS = 5;
const TEMPORARY = new Set([0, 408, 429, 502, 503, 504]);
const KEY = "Idempotency-Key";
export class Caller {
    tokens;
    retries;
    #request;
    constructor(baseUrl, tokens, retries) {
        this.tokens = tokens;
        this.retries = retries;
        new URL(baseUrl, globalThis.location?.href); // throws here instead of in each call
        this.#request = createClient({ baseUrl }).request;
    }
    /** Calls an operation, and again with what `onConflict` returns. */
    async call(id, inputs = {}, options = {}) {
        for (let conflicts = 0;; conflicts++) {
            try {
                return await this.#callUntilAnswered(id, inputs, options);
            }
            catch (error) {
                const problem = error instanceof TodoApiError ? error.problem : undefined;
                if (problem?.status !== 412 || !options.onConflict || conflicts === MOST_CONFLICTS)
                    throw error;
                const body = await options.onConflict(problem.task, inputs.body);
                if (body === null)
                    throw error;
                // This is another request, so it must have another key.
                inputs = { ...inputs, body, "If-Match": problem.task.etag, [KEY]: undefined };
            }
        }
    }
    /** Retries a call that can be repeated safely, if its failure is temporary. */
    async #callUntilAnswered(id, inputs, options) {
        const { method, headers } = OPERATIONS[id];
        if (headers?.includes(KEY))
            inputs = { ...inputs, [KEY]: inputs[KEY] ?? newKey() };
        const isSafe = method === "GET" || inputs[KEY] !== undefined || inputs["If-Match"] !== undefined;
        for (let retry = 0, waited = 0;; retry++) {
            try {
                return await this.#callWithToken(id, inputs, options);
            }
            catch (error) {
                if (!(error instanceof TodoApiError) || error.kind === "signed-out")
                    throw error;
                if (retry > 0 && error.problem?.status === 412 && isApplied(inputs.body, error.problem.task)) {
                    // An attempt whose answer was lost has made the change.
                    return this.#callWithToken("getTask", { user_id: inputs.user_id, task_id: inputs.task_id }, options);
                }
                const isTemporary = TEMPORARY.has(error.status) || (error.status === 409 && error.retryAfter !== undefined);
                const wait = error.retryAfter ?? 2 ** retry * (0.25 + Math.random() / 4);
                waited += wait;
                if (!isSafe || !isTemporary || retry >= this.retries || waited > LONGEST_WAIT)
                    throw error;
                await sleep(wait, options.signal);
            }
        }
    }
    /** Requests a new token if the first one is another user's, or if the service rejects it. */
    async #callWithToken(id, inputs, options) {
        if (OPERATIONS[id].public)
            return this.#callOnce(id, inputs, options);
        for (let isFirst = true;; isFirst = false) {
            const token = await this.tokens.get();
            if (!token)
                throw new TodoApiError(id, "signed-out", "the user is signed out: getToken returned null");
            const isOther = isFirst && token.user && inputs.user_id && inputs.user_id !== token.user;
            try {
                if (!isOther)
                    return await this.#callOnce(id, inputs, options, token);
            }
            catch (error) {
                if (!isFirst || !(error instanceof TodoApiError) || error.status !== 401)
                    throw error;
            }
            this.tokens.forget(token);
        }
    }
    async #callOnce(id, inputs, { signal, headers }, token) {
        const operation = OPERATIONS[id];
        const { body, ...parameters } = inputs;
        if (operation.path.includes("{user_id}"))
            parameters.user_id ??= token?.user;
        const params = { path: {}, query: {}, header: {} };
        for (const [name, value] of Object.entries(parameters)) {
            const isHeader = operation.headers?.includes(name);
            params[operation.path.includes(`{${name}}`) ? "path" : isHeader ? "header" : "query"][name] = value;
        }
        const type = body === undefined ? undefined : operation.body;
        const sent = { Authorization: token && `Bearer ${token.text}`, "Content-Type": type, ...headers };
        const init = { params, headers: sent, body, bodySerializer, parseAs: "stream", signal };
        try {
            const { error, response } = await this.#request(operation.method, operation.path, init);
            if (!response.ok && response.status !== 304)
                throw failureOf(id, response, error);
            const headersByName = Object.fromEntries(response.headers);
            return { status: response.status, data: await dataOf(id, response), headers: headersByName };
        }
        catch (error) {
            if (error instanceof TodoApiError || signal?.aborted)
                throw error;
            throw new TodoApiError(id, "network", "no answer, or not all of it", { cause: error });
        }
    }
}
async function dataOf(id, response) {
    if (response.status === 204 || response.status === 304)
        return undefined;
    const type = response.headers.get("Content-Type")?.split(";")[0]?.trim() ?? "";
    if (!(OPERATIONS[id].answers ?? ["application/json"]).includes(type))
        throw failureOf(id, response);
    if (type !== "application/json")
        return response.blob();
    const failure = (error) => Promise.reject(error instanceof SyntaxError ? failureOf(id, response) : error);
    return response.json().catch(failure);
}
/** An array is NDJSON, because no body of the contract is an array. */
const bodySerializer = (body) => Array.isArray(body) ? body.map((line) => `${JSON.stringify(line)}\n`).join("") : JSON.stringify(body);
function isApplied(body, task) {
    const [sent, now] = [Object.entries(body ?? {}), { ...task }];
    return sent.length > 0 && sent.every(([name, value]) => JSON.stringify(now[name]) === JSON.stringify(value));
}
/** Not by randomUUID(), which browsers offer to secure contexts only. */
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (each) => each.toString(16).padStart(2, "0")).join("");
function sleep(seconds, signal) {
    return new Promise((resolve, reject) => {
        const timer = setTimeout(resolve, 1000 * seconds);
        signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
    });
}
