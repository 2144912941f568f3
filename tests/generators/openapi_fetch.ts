import createClient from "openapi-fetch";
import type { paths } from "./generated/schema";
import { run, setting } from "./scenario";

const api = createClient<paths>({
  baseUrl: setting("BASE_URL"),
  headers: { Authorization: `Bearer ${setting("TOKEN")}` },
});
const tasks = "/api/{user_id}/tasks";
const task = "/api/{user_id}/tasks/{task_id}";
const user_id = setting("USER_ID");

async function success<Data, Problem extends { status: number }>(
  call: Promise<{ data?: Data; error?: Problem }>,
): Promise<Data> {
  const { data, error } = await call;
  if (data === undefined) throw new Error(`a problem with the status ${error?.status}`);
  return data;
}

await run({
  create: (title) => success(api.POST(tasks, { params: { path: { user_id } }, body: { title } })),
  list: (limit, cursor) =>
    success(api.GET(tasks, { params: { path: { user_id }, query: { limit, ...(cursor && { cursor }) } } })),
  rename: (task_id, title) => success(api.PUT(task, { params: { path: { user_id, task_id } }, body: { title } })),
  describe: (task_id, description) =>
    success(api.PATCH(task, { params: { path: { user_id, task_id } }, body: { description } })),
  toggle: (task_id, completed) =>
    success(
      api.PATCH("/api/{user_id}/tasks/{task_id}/complete", {
        params: { path: { user_id, task_id } },
        ...(completed !== undefined && { body: { completed } }),
      }),
    ),
  remove: async (task_id) => {
    const { error } = await api.DELETE(task, { params: { path: { user_id, task_id } } });
    if (error) throw new Error(error.detail);
  },
  missing: async (task_id) => {
    const { error } = await api.GET(task, { params: { path: { user_id, task_id } } });
    if (error?.status !== 404) throw new Error(`${error?.status} instead of 404`);
    return error;
  },
  rejected: async (title) => {
    const { error } = await api.POST(tasks, { params: { path: { user_id } }, body: { title } });
    if (error?.status !== 422) throw new Error(`${error?.status} instead of 422`);
    return error;
  },
});
