import { Caller } from "./calls.js";
import { TodoApiError } from "./error.js";
import { OPERATIONS } from "./operations.js";
import { TokenKeeper } from "./token.js";
export { TodoApiError } from "./error.js";
export { tokenFrom } from "./token.js";
/** Returns a client of the service, for one user. */
export function createTodoClient({ baseUrl, getToken, retries = 3 }) {
    const tokens = new TokenKeeper(getToken);
    const caller = new Caller(baseUrl, tokens, retries);
    const answers = {};
    const calls = {};
    for (const id of Object.keys(OPERATIONS)) {
        answers[id] = (input, options) => caller.call(id, { ...input }, options);
        calls[id] = async (input, options) => (await caller.call(id, { ...input }, options)).data;
    }
    const { listTasks, listTaskChanges } = calls;
    async function* allTasks(filters = {}, options = {}) {
        for (let cursor; cursor !== null;) {
            const page = await listTasks({ limit: 100, ...filters, ...(cursor && { cursor }) }, options);
            yield* page.items;
            cursor = page.next_cursor;
        }
    }
    async function* changes(since = null, options = {}) {
        for (let restarted = false, hasMore = true; hasMore;) {
            try {
                const page = await listTaskChanges({ limit: 100, ...(since !== null && { since }) }, options);
                yield { ...page, restarted };
                [since, restarted, hasMore] = [page.next_since, false, page.has_more];
            }
            catch (error) {
                if (since === null || !(error instanceof TodoApiError) || error.status !== 410)
                    throw error;
                [since, restarted] = [null, true];
            }
        }
    }
    return { ...calls, answers: answers, allTasks, changes, forgetToken: () => tokens.forget() };
}
