// An edit of a task that somebody else has changed in the meantime (412).
import { type Task, TodoApiError, type TaskUpdate, type TodoClient } from "todo-api-client";
import { createStore } from "../store.ts";
import { edited } from "./draft.ts";

/** What a person edits. A task is due on a day or at a time, which is one thing. */
export const FIELDS = {
  title: ["title"],
  description: ["description"],
  due: ["due_date", "due_at"],
  priority: ["priority"],
  labels: ["labels"],
} as const;
export type Field = keyof typeof FIELDS;

export interface Conflict {
  /** The task as it is now. */
  current: Task;
  /** The task as this person would save it. */
  mine: Task;
  /** What both have changed. */
  fields: Field[];
  /** Called with the fields of which the person prefers their own, or null if they decide later. */
  decide: (mine: Field[] | null) => void;
}

/** The conflict on which the page waits for a decision. */
export const conflict = createStore<Conflict | null>(null);

/** Saves an edit. What only one of the two has changed is merged; otherwise the person decides. */
export async function saveMerged(api: TodoClient, base: Task, edit: TaskUpdate): Promise<Task> {
  let isLeft = true; // whether anything of the edit is left
  try {
    return await api.patchTask(
      { task_id: base.id, body: edit, "If-Match": base.etag },
      {
        async onConflict(current, body = {}) {
          const fields = clashesOf(base, current, body);
          const preferred = fields.length ? await ask(current, body, fields) : fields;
          if (preferred === null) return null;
          base = current;
          const merged = without(body, fields.filter((field) => !preferred.includes(field)));
          isLeft = Object.keys(merged).length > 0;
          return isLeft ? merged : null;
        },
      },
    );
  } catch (error) {
    if (!isLeft && error instanceof TodoApiError && error.problem?.status === 412) return error.problem.task;
    throw error;
  }
}

/** The fields of an edit that have changed since it began, to something else. */
function clashesOf(base: Task, current: Task, edit: TaskUpdate): Field[] {
  const mine = edited(base, edit);
  return (Object.keys(FIELDS) as Field[]).filter((field) => {
    const isEdited = FIELDS[field].some((member) => member in edit);
    return isEdited && !isEqual(field, base, current) && !isEqual(field, current, mine);
  });
}

function isEqual(field: Field, one: Task, other: Task): boolean {
  return FIELDS[field].every((member) => JSON.stringify(one[member]) === JSON.stringify(other[member]));
}

function without(edit: TaskUpdate, fields: Field[]): TaskUpdate {
  const left = { ...edit };
  for (const field of fields) for (const member of FIELDS[field]) delete left[member];
  return left;
}

/** One conflict is shown at a time. */
async function ask(current: Task, edit: TaskUpdate, fields: Field[]): Promise<Field[] | null> {
  while (conflict.get()) await conflict.next();
  return new Promise((resolve) => {
    const mine = edited(current, edit);
    conflict.set({ current, mine, fields, decide: (preferred) => (conflict.set(null), resolve(preferred)) });
  });
}
