import { type Fetcher, createApiClient } from "./generated/api";
import { run, setting } from "./scenario";

const tasks = "/api/{user_id}/tasks";
const task = "/api/{user_id}/tasks/{task_id}";
const user_id = setting("USER_ID");
const fetcher: Fetcher = {
  fetch: ({ method, url, urlSearchParams, parameters }) => {
    url.search = String(urlSearchParams ?? "");
    const headers = new Headers({ Authorization: `Bearer ${setting("TOKEN")}` });
    if (parameters?.body) headers.set("Content-Type", "application/json");
    return fetch(url, { method: method.toUpperCase(), headers, body: JSON.stringify(parameters?.body) });
  },
};
// typed-openapi requires the headers of an operation, though each is optional in the contract.
const header = {};
const api = createApiClient(fetcher, setting("BASE_URL"));

await run({
  create: (title) => api.post(tasks, { path: { user_id }, header, body: { title } }),
  list: (limit, cursor) => api.get(tasks, { path: { user_id }, header, query: { limit, cursor } }),
  rename: (task_id, title) => api.put(task, { path: { user_id, task_id }, header, body: { title } }),
  describe: (task_id, description) => api.patch(task, { path: { user_id, task_id }, header, body: { description } }),
  toggle: (task_id, completed) => {
    const completion = "/api/{user_id}/tasks/{task_id}/complete";
    const path = { user_id, task_id };
    // @ts-expect-error: typed-openapi requires the body, which the contract makes optional.
    return completed === undefined ? api.patch(completion, { path, header }) : api.patch(completion, { path, header, body: { completed } });
  },
  remove: async (task_id) => {
    await api.delete(task, { path: { user_id, task_id }, header });
  },
  missing: async (task_id) => {
    const answer = await api.get(task, { path: { user_id, task_id }, header, withResponse: true });
    if (answer.status !== 404) throw new Error(`${answer.status} instead of 404`);
    // typed-openapi has no literal type for a `const`, so the type of a problem is any string.
    const { type } = answer.data;
    if (type !== "/problems/task-not-found") throw new Error(type);
    return { type };
  },
  rejected: async (title) => {
    const answer = await api.post(tasks, { path: { user_id }, header, body: { title }, withResponse: true });
    if (answer.status !== 422) throw new Error(`${answer.status} instead of 422`);
    return answer.data;
  },
});
