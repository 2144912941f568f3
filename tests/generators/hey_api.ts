import { MutationObserver, QueryClient } from "@tanstack/react-query";
import { createTaskMutation, listTasksInfiniteOptions } from "./generated/@tanstack/react-query.gen";
import { client } from "./generated/client.gen";
import { createTask, deleteTask, getTask, patchTask, toggleTaskCompletion, updateTask } from "./generated";
import { run, setting } from "./scenario";

client.setConfig({ baseUrl: setting("BASE_URL"), auth: setting("TOKEN") });
const user_id = setting("USER_ID");
const throwOnError = true;

await run({
  create: (title) => new MutationObserver(new QueryClient(), createTaskMutation()).mutate({ path: { user_id }, body: { title } }),
  // The page parameter of the infinite query is the cursor.
  list: async (limit, cursor) => {
    const { pages } = await new QueryClient().fetchInfiniteQuery({
      ...listTasksInfiniteOptions({ path: { user_id }, query: { limit } }),
      initialPageParam: cursor ?? { path: { user_id } },
    });
    if (!pages[0]) throw new Error("no page");
    return pages[0];
  },
  rename: async (task_id, title) => (await updateTask({ path: { user_id, task_id }, body: { title }, throwOnError })).data,
  describe: async (task_id, description) =>
    (await patchTask({ path: { user_id, task_id }, body: { description }, throwOnError })).data,
  toggle: async (task_id, completed) => {
    const body = completed === undefined ? undefined : { completed };
    return (await toggleTaskCompletion({ path: { user_id, task_id }, body, throwOnError })).data;
  },
  remove: async (task_id) => {
    await deleteTask({ path: { user_id, task_id }, throwOnError });
  },
  missing: async (task_id) => {
    const { error } = await getTask({ path: { user_id, task_id } });
    if (error?.status !== 404) throw new Error(`${error?.status} instead of 404`);
    return error;
  },
  rejected: async (title) => {
    const { error } = await createTask({ path: { user_id }, body: { title } });
    if (error?.status !== 422) throw new Error(`${error?.status} instead of 422`);
    return error;
  },
});
