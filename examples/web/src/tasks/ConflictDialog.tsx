import { type FormEvent, useState } from "react";
import type { Task } from "todo-api-client";
import { Modal } from "../Modal.tsx";
import { quoted } from "../notices.ts";
import { type Conflict, conflict, type Field } from "./conflicts.ts";
import { dueDay } from "./draft.ts";
import { inWords } from "./Due.tsx";
import { capitalized } from "./TaskFields.tsx";

const NAMES: Record<Field, string> = {
  title: "Title",
  description: "Notes",
  due: "Due",
  priority: "Priority",
  labels: "Labels",
};

export function ConflictDialog() {
  const now = conflict.use();
  return now && <Choice key={now.current.etag} {...now} />;
}

/** Shows both versions of each field, and lets the person choose. */
function Choice({ current, mine, fields, decide }: Conflict) {
  const [preferred, setPreferred] = useState(fields);
  function choose(field: Field, isMine: boolean) {
    setPreferred(isMine ? [...preferred, field] : preferred.filter((each) => each !== field));
  }
  function submit(event: FormEvent) {
    event.preventDefault();
    decide(preferred);
  }
  return (
    <Modal label="Changed in the meantime" onCancel={() => decide(null)}>
      <form className="conflict" onSubmit={submit}>
        <h2>Changed in the meantime</h2>
        <p>{quoted(current.title)} was also changed elsewhere. Choose what to keep.</p>
        {fields.map((field) => (
          <fieldset key={field}>
            <legend>{NAMES[field]}</legend>
            {[true, false].map((isMine) => (
              <label key={String(isMine)}>
                <input
                  type="radio"
                  name={field}
                  checked={preferred.includes(field) === isMine}
                  onChange={() => choose(field, isMine)}
                />
                <span>
                  <small>{isMine ? "Yours" : "Theirs"}</small>
                  {textOf(field, isMine ? mine : current)}
                </span>
              </label>
            ))}
          </fieldset>
        ))}
        <div className="buttons">
          <button className="primary">Keep these</button>
          <button type="button" className="quiet" onClick={() => decide(null)}>
            Decide later
          </button>
        </div>
      </form>
    </Modal>
  );
}

function textOf(field: Field, task: Task): string {
  const day = dueDay(task);
  if (field === "due") return day ? inWords(day) : "never";
  if (field === "labels") return task.labels.join(", ") || "none";
  if (field === "priority") return capitalized(task.priority);
  return task[field] || "none";
}
