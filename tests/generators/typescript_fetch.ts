import {
  Configuration,
  ResponseError,
  TaskNotFoundProblemFromJSON,
  TasksApi,
  ValidationFailedProblemFromJSON,
} from "./generated";
import { run, setting } from "./scenario";

const api = new TasksApi(new Configuration({ basePath: setting("BASE_URL"), accessToken: setting("TOKEN") }));
const user_id = setting("USER_ID");

// The generated operations throw each answer that is no success, without a type.
async function problem<Problem>(call: Promise<object>, status: number, read: (body: object) => Problem): Promise<Problem> {
  const answer = await call.catch((error: unknown) => {
    if (error instanceof ResponseError) return error.response;
    throw error;
  });
  if (!(answer instanceof Response) || answer.status !== status) throw new Error(`not ${status}`);
  return read(await answer.json());
}

await run({
  create: (title) => api.createTask({ user_id, TaskCreate: { title } }),
  list: (limit, cursor) => api.listTasks({ user_id, limit, cursor }),
  rename: (task_id, title) => api.updateTask({ user_id, task_id, TaskUpdate: { title } }),
  describe: (task_id, description) => api.patchTask({ user_id, task_id, TaskUpdate: { description } }),
  toggle: (task_id, completed) => {
    const TaskCompletion = completed === undefined ? undefined : { completed };
    return api.toggleTaskCompletion({ user_id, task_id, TaskCompletion });
  },
  remove: (task_id) => api.deleteTask({ user_id, task_id }),
  missing: (task_id) => problem(api.getTask({ user_id, task_id }), 404, TaskNotFoundProblemFromJSON),
  rejected: (title) => problem(api.createTask({ user_id, TaskCreate: { title } }), 422, ValidationFailedProblemFromJSON),
});
