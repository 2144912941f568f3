// A change that failed, after the page has shown it as made.
import { TodoApiError } from "todo-api-client";
import { notice } from "../notices.ts";
import type { Change } from "./changes.ts";
import { describe } from "./errors.ts";

/** Changes whose form has closed before the answer. The other forms show the error themselves, beside the text. */
export const closedForms = new WeakSet<Change>();

const FAILURES: Record<Change["kind"], string> = {
  add: "was not added",
  edit: "was not saved",
  complete: "was not changed",
  delete: "was not deleted",
  restore: "was not restored",
};

export function report(error: Error, change: Change, send: (change: Change) => void): void {
  const isGone = error instanceof TodoApiError && error.status === 404;
  const hasForm = change.kind === "add" || change.kind === "edit";
  // The form of a task that is gone disappears with it.
  if (hasForm && !closedForms.has(change) && !isGone) return;
  const title = change.kind === "add" ? change.body.title : change.task.title;
  const isEdit = change.kind === "edit";
  const again: Change = isEdit && isGone ? { ...change, isDeleted: true } : change;
  closedForms.add(again);
  notice.set({
    text: `“${title}” ${FAILURES[change.kind]}. ${describe(error)}`,
    tone: "error",
    ...((isEdit || !isGone) && {
      action: { label: isGone ? "Restore and save" : "Try again", run: () => send(again) },
    }),
  });
}
