import { useEffect, useRef } from "react";
import { announce, notice, quoted } from "../notices.ts";
import { type ShownTask, useChange } from "./changes.ts";
import { Due } from "./Due.tsx";
import { TaskEditor } from "./TaskEditor.tsx";
import { capitalized } from "./TaskFields.tsx";

/** The task that is being restored: its row gets the focus. */
let restored: number | undefined;

interface Props {
  task: ShownTask;
  isEditing: boolean;
  setEditing: (isEditing: boolean) => void;
}

export function TaskRow({ task, isEditing, setEditing }: Props) {
  const change = useChange(task);
  const edit = useRef<HTMLButtonElement>(null);
  const wasEditing = useRef(false);

  useEffect(() => {
    if (wasEditing.current && !isEditing) edit.current?.focus();
    wasEditing.current = isEditing;
  }, [isEditing]);

  useEffect(() => {
    if (restored !== task.id) return;
    restored = undefined;
    edit.current?.focus();
  });

  function complete() {
    change.mutate({ kind: "complete", task, completed: !task.completed });
    announce(`${task.completed ? "Reopened" : "Completed"} ${task.title}`);
  }

  function remove() {
    change.mutate({ kind: "delete", task });
    function undo() {
      restored = task.id;
      change.mutate({ kind: "restore", task });
    }
    notice.set({ text: `Deleted ${quoted(task.title)}.`, action: { label: "Undo", run: undo } });
  }

  // It has no id yet.
  const isNew = task.id < 0;
  if (isEditing) {
    return (
      <li className="task">
        <TaskEditor task={task} onClose={() => setEditing(false)} />
      </li>
    );
  }
  return (
    <li className={task.completed ? "task done" : "task"} aria-busy={task.waits === "answer"}>
      <input type="checkbox" aria-label={task.title} checked={task.completed} disabled={isNew} onChange={complete} />
      <div className="about">
        <button
          ref={edit}
          className="title"
          aria-label={`Edit ${task.title}`}
          disabled={isNew}
          onClick={() => setEditing(true)}
        >
          {task.title}
        </button>
        {task.description && <p className="notes">{task.description}</p>}
        <p className="facts">
          <Due task={task} />
          {task.priority !== "normal" && (
            <span className={`priority ${task.priority}`}>{capitalized(task.priority)}</span>
          )}
          {task.labels.map((label) => (
            <span key={label} className="label">
              {label}
            </span>
          ))}
          {task.waits === "connection" && <span className="waits">Waits for the connection</span>}
        </p>
      </div>
      <button className="icon" aria-label={`Delete ${task.title}`} disabled={isNew} onClick={remove}>
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M5 7h14M10 7V4.8h4V7M7 7l.8 12.2h8.4L17 7M10.2 10.5v5.5M13.8 10.5v5.5" />
        </svg>
      </button>
    </li>
  );
}
