// A task as it is typed into a form.
import type { Priority, Task, TaskCreate, TaskUpdate } from "todo-api-client";

export const PRIORITIES: Priority[] = ["low", "normal", "high", "urgent"];

export interface Draft {
  title: string;
  description: string;
  /** A day, such as 2026-12-24, or empty. */
  due: string;
  priority: Priority;
  /** Separated by commas. */
  labels: string;
}
export const EMPTY_DRAFT: Draft = { title: "", description: "", due: "", priority: "normal", labels: "" };

export function draftOf(task: Task | TaskCreate): Draft {
  return {
    title: task.title,
    description: task.description ?? "",
    due: dueDay(task) ?? "",
    priority: task.priority ?? "normal",
    labels: (task.labels ?? []).join(", "),
  };
}

/** The members that differ between two drafts. */
export function editOf(before: Draft, after: Draft): TaskUpdate {
  return {
    ...(after.title !== before.title && { title: after.title.trim() }),
    ...(after.description !== before.description && { description: after.description.trim() || null }),
    ...(after.due !== before.due && (after.due ? { due_date: after.due } : { due_date: null, due_at: null })),
    ...(after.priority !== before.priority && { priority: after.priority }),
    ...(after.labels !== before.labels && { labels: labelsOf(after) }),
  };
}

/** The task after an edit. A day replaces a time, and a time a day. */
export function edited<T extends Task>(task: T, edit: TaskUpdate): T {
  const due = "due_date" in edit ? { due_at: null } : "due_at" in edit ? { due_date: null } : {};
  return { ...task, ...due, ...edit };
}

export function dueDay({ due_date, due_at }: Task | TaskCreate): string | null {
  return due_date ?? (due_at ? dayOf(new Date(due_at)) : null);
}

/** The day of a time by the clock of the person: 2026-12-24. */
export function dayOf(time: Date): string {
  const [year, month, day] = [time.getFullYear(), time.getMonth() + 1, time.getDate()];
  return [String(year).padStart(4, "0"), ...[month, day].map((part) => String(part).padStart(2, "0"))].join("-");
}

function labelsOf({ labels }: Draft): string[] {
  const names = labels.split(",").map((label) => label.trim()).filter(Boolean);
  return [...new Map(names.map((name) => [name.toLowerCase(), name])).values()];
}
