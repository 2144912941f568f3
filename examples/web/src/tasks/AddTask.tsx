import { type FormEvent, useEffect, useRef, useState } from "react";
import { announce, notice, quoted } from "../notices.ts";
import { useChange } from "./changes.ts";
import { type Draft, draftOf, editOf, EMPTY_DRAFT } from "./draft.ts";
import { describe, fieldErrors } from "./errors.ts";
import { closedForms, rejected } from "./failures.ts";
import { type Filters, showsNew } from "./filters.ts";
import { Field, TaskFields, useFocusOfErrors } from "./TaskFields.tsx";

const NO_ATTEMPT = { text: "", key: "", isPending: false };

/** The form for a new task. It keeps the text until the task is added, or waits for the connection. */
export function AddTask({ filters }: { filters: Filters }) {
  const { label } = filters;
  const [draft, setDraft] = useState<Draft>(EMPTY_DRAFT);
  const [hasDetails, setDetails] = useState(false);
  const add = useChange();
  const title = useRef<HTMLInputElement>(null);
  const attempt = useRef(NO_ATTEMPT);
  const errors = fieldErrors(add.error);
  const form = useFocusOfErrors(add.error);
  const isOpen = hasDetails || Object.keys(errors).some((field) => field !== "title");
  const isReady = draft.title.trim() !== "" && !add.isPending;

  function clear() {
    setDraft(EMPTY_DRAFT);
    setDetails(false);
    attempt.current = NO_ATTEMPT;
    add.reset();
    title.current?.focus();
  }

  useEffect(() => {
    if (!add.isPaused || !add.variables) return;
    closedForms.add(add.variables);
    clear();
  }, [add.isPaused]);

  const rejectedTask = rejected.use();
  useEffect(() => {
    if (!rejectedTask) return;
    rejected.set(null);
    setDraft(draftOf(rejectedTask));
    setDetails(true);
    title.current?.focus();
  }, [rejectedTask]);

  function submit(event: FormEvent) {
    event.preventDefault();
    // Also at the second click of a double click, before React has rendered.
    if (!isReady || attempt.current.isPending) return;
    const labels = label && !draft.labels ? label : draft.labels;
    const body = { title: draft.title, ...editOf(EMPTY_DRAFT, { ...draft, labels }) };
    // The same text is the same action: if its answer was lost, the key prevents a second task.
    const text = JSON.stringify(body);
    const key = attempt.current.text === text ? attempt.current.key : crypto.randomUUID();
    attempt.current = { text, key, isPending: true };
    add.mutate(
      { kind: "add", body, key },
      {
        onSuccess() {
          clear();
          announce(`Added ${body.title}`);
          if (!showsNew(filters, body)) notice.set({ text: `Added ${quoted(body.title)}. It is among the open tasks.` });
        },
        onError: () => (attempt.current = { text, key, isPending: false }),
      },
    );
  }

  return (
    <form ref={form} className="add" aria-label="Add a task" onSubmit={submit}>
      <div className="add-line">
        <Field label="New task" error={errors.title} isLabelHidden>
          {(described) => (
            <input
              ref={title}
              value={draft.title}
              placeholder={label ? `Add a task to “${label}”` : "Add a task"}
              autoComplete="off"
              enterKeyHint="done"
              onChange={(event) => setDraft({ ...draft, title: event.target.value })}
              {...described}
            />
          )}
        </Field>
        <button type="button" className="quiet" aria-expanded={isOpen} onClick={() => setDetails(!isOpen)}>
          Details
        </button>
        <button className="primary" aria-disabled={!isReady}>
          {add.isPending ? "Adding…" : "Add"}
        </button>
      </div>
      {isOpen && <TaskFields draft={draft} onChange={setDraft} errors={errors} />}
      <p role="alert" className="error">
        {add.error && !Object.keys(errors).length && describe(add.error)}
      </p>
    </form>
  );
}
