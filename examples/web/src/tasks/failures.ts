// A change that failed, after the page has shown it as made.
import { type TaskCreate, TodoApiError } from "todo-api-client";
import { type Notice, notice, quoted } from "../notices.ts";
import { createStore } from "../store.ts";
import type { Change } from "./changes.ts";
import { describe, isGone } from "./errors.ts";

/** Changes whose form has closed before the answer. The other forms show the error themselves, beside the text. */
export const closedForms = new WeakSet<Change>();

const FAILURES: Record<Change["kind"], string> = {
  add: "was not added",
  edit: "was not saved",
  complete: "was not changed",
  delete: "was not deleted",
  restore: "was not restored",
};

/** A rejected task that the person edits again: its form takes it. */
export const rejected = createStore<TaskCreate | null>(null);

export function report(error: Error, change: Change, send: (change: Change) => void): void {
  const hasForm = change.kind === "add" || change.kind === "edit";
  if (hasForm && !closedForms.has(change)) return;
  const title = change.kind === "add" ? change.body.title : change.task.title;
  const action = actionAfter(error, change, send);
  const text = `${quoted(title)} ${FAILURES[change.kind]}. ${describe(error)}`;
  notice.set({ text, tone: "error", ...(action && { action }) });
}

function actionAfter(error: Error, change: Change, send: (change: Change) => void): Notice["action"] {
  if (change.kind === "add" && error instanceof TodoApiError && error.status === 422) {
    return { label: "Edit", run: () => rejected.set(change.body) };
  }
  if (!isGone(error)) {
    closedForms.add(change);
    return { label: "Try again", run: () => send(change) };
  }
  if (change.kind !== "edit") return undefined;
  const again = { ...change, isDeleted: true };
  closedForms.add(again);
  return { label: "Restore and save", run: () => send(again) };
}
