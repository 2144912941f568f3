import { type FormEvent, type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { Task } from "todo-api-client";
import { announce } from "../notices.ts";
import { type Change, useChange } from "./changes.ts";
import { draftOf, editOf } from "./draft.ts";
import { describe, fieldErrors, isGone } from "./errors.ts";
import { closedForms } from "./failures.ts";
import { Field, TaskFields, useFocusOfErrors } from "./TaskFields.tsx";

/** The form in the place of a task. Enter saves, Escape cancels. */
export function TaskEditor({ task: now, onClose }: { task: Task; onClose: () => void }) {
  // The edit begins with this task. If others change it, the answer is 412, and both are merged.
  const [task] = useState(now);
  const [draft, setDraft] = useState(() => draftOf(task));
  const save = useChange(task);
  const errors = fieldErrors(save.error);
  const form = useFocusOfErrors(save.error);

  const change = useRef<Change>(undefined);
  useEffect(() => () => void (change.current && closedForms.add(change.current)), []);
  useEffect(() => {
    if (save.isPaused) onClose();
  }, [save.isPaused]);

  function submit(event?: FormEvent) {
    event?.preventDefault();
    if (save.isPending || !draft.title.trim()) return;
    const body = editOf(draftOf(task), draft);
    if (!Object.keys(body).length) return onClose();
    change.current = { kind: "edit", task, body, isDeleted: isGone(save.error) };
    save.mutate(change.current, { onSuccess: (saved) => (onClose(), announce(`Saved ${saved?.title}`)) });
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Escape") onClose();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit();
  }

  return (
    <form ref={form} className="edit" aria-label={`Edit ${task.title}`} onSubmit={submit} onKeyDown={onKeyDown}>
      <Field label="Title" error={draft.title.trim() ? errors.title : "Give the task a title."}>
        {(described) => (
          <input
            autoFocus
            value={draft.title}
            enterKeyHint="done"
            onChange={(event) => setDraft({ ...draft, title: event.target.value })}
            {...described}
          />
        )}
      </Field>
      <TaskFields draft={draft} onChange={setDraft} errors={errors} />
      <p role="alert" className="error">
        {save.error && !Object.keys(errors).length && describe(save.error)}
      </p>
      <div className="buttons">
        <button className="primary" aria-disabled={save.isPending}>
          {save.isPending ? "Saving…" : isGone(save.error) ? "Restore and save" : "Save"}
        </button>
        <button type="button" className="quiet" onClick={onClose}>
          Cancel
        </button>
      </div>
    </form>
  );
}
