import { faker } from "@faker-js/faker";
import { setupServer } from "msw/node";
import { createTask, deleteTask, getTask, listTasks, patchTask, toggleTaskCompletion, updateTask } from "./generated/api";
import { getTodoApiMock } from "./generated/api.msw";
import { CreateTaskBody, GetTaskResponse, ListTasksResponse } from "./generated/zod";
import { run, setting } from "./scenario";

const user_id = setting("USER_ID");
const options = { headers: { Authorization: `Bearer ${setting("TOKEN")}` } };

function success<Answer extends { status: number; data: unknown }, Status extends Answer["status"]>(
  answer: Answer,
  status: Status,
): Extract<Answer, { status: Status }>["data"] {
  if (answer.status !== status) throw new Error(`${answer.status} instead of ${status}`);
  return answer.data;
}

await run({
  create: async (title) => success(await createTask(user_id, CreateTaskBody.parse({ title }), options), 201),
  list: async (limit, cursor) =>
    ListTasksResponse.parse(success(await listTasks(user_id, { limit, cursor }, options), 200)),
  rename: async (task_id, title) => success(await updateTask(user_id, task_id, { title }, options), 200),
  describe: async (task_id, description) => success(await patchTask(user_id, task_id, { description }, options), 200),
  toggle: async (task_id, completed) => {
    const body = completed === undefined ? undefined : { completed };
    return success(await toggleTaskCompletion(user_id, task_id, body, options), 200);
  },
  remove: async (task_id) => {
    success(await deleteTask(user_id, task_id, options), 204);
  },
  missing: async (task_id) => {
    const answer = await getTask(user_id, task_id, options);
    if (answer.status !== 404) throw new Error(`${answer.status} instead of 404`);
    return answer.data;
  },
  rejected: async (title) => {
    const answer = await createTask(user_id, { title }, options);
    if (answer.status !== 422) throw new Error(`${answer.status} instead of 422`);
    return answer.data;
  },
});

// The responses of the mock fit the schemas of zod. It has another host, because msw does not intercept open connections.
process.env["BASE_URL"] = "http://mock.invalid";
faker.seed(1);
const mock = setupServer(...getTodoApiMock());
mock.listen({ onUnhandledFrame: "error" });
GetTaskResponse.parse((await getTask(user_id, 1)).data);
mock.close();
