import type { Task } from "todo-api-client";
import { dayOf, dueDay } from "./draft.ts";

const DAY = 24 * 60 * 60 * 1000;

/** When a task is due, in words. */
export function Due({ task }: { task: Task }) {
  const day = dueDay(task);
  if (!day) return null;
  const isOverdue = !task.completed && (task.due_at ? new Date(task.due_at) < new Date() : day < dayOf(new Date()));
  return (
    <time dateTime={task.due_at ?? day} className={isOverdue ? "due overdue" : "due"}>
      {isOverdue && "Overdue: "}
      {inWords(day)}
      {task.due_at && ` ${new Date(task.due_at).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" })}`}
    </time>
  );
}

export function inWords(day: string): string {
  const [date, today] = [new Date(`${day}T00:00`), new Date(`${dayOf(new Date())}T00:00`)];
  const days = Math.round((date.getTime() - today.getTime()) / DAY);
  if (days === -1) return "yesterday";
  if (days === 0) return "today";
  if (days === 1) return "tomorrow";
  const year = date.getFullYear() === today.getFullYear() ? {} : ({ year: "numeric" } as const);
  return date.toLocaleDateString(undefined, { weekday: "short", day: "numeric", month: "short", ...year });
}
