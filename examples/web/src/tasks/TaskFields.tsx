import { type ReactElement, useEffect, useId, useRef } from "react";
import { type Draft, PRIORITIES } from "./draft.ts";

type Errors = Partial<Record<keyof Draft, string>>;
interface Props {
  draft: Draft;
  onChange: (draft: Draft) => void;
  errors: Errors;
}

/** The fields of a task beside its title. */
export function TaskFields({ draft, onChange, errors }: Props) {
  const change = (part: Partial<Draft>) => onChange({ ...draft, ...part });
  return (
    <div className="fields">
      <Field label="Due" error={errors.due}>
        {(described) => (
          <input
            type="date"
            max="9999-12-31"
            value={draft.due}
            onChange={(event) => change({ due: event.target.value })}
            {...described}
          />
        )}
      </Field>
      <Field label="Priority" error={errors.priority}>
        {(described) => (
          <select
            value={draft.priority}
            onChange={(event) => change({ priority: event.target.value as Draft["priority"] })}
            {...described}
          >
            {PRIORITIES.map((priority) => (
              <option key={priority} value={priority}>
                {capitalized(priority)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Labels" error={errors.labels} hint="separated by commas">
        {(described) => (
          <input
            value={draft.labels}
            autoCapitalize="none"
            onChange={(event) => change({ labels: event.target.value })}
            {...described}
          />
        )}
      </Field>
      <Field label="Notes" error={errors.description} isWide>
        {(described) => (
          <textarea
            rows={2}
            value={draft.description}
            onChange={(event) => change({ description: event.target.value })}
            {...described}
          />
        )}
      </Field>
    </div>
  );
}

interface FieldProps {
  label: string;
  error: string | undefined;
  hint?: string;
  isWide?: boolean;
  isLabelHidden?: boolean;
  children: (described: { id: string; "aria-describedby": string; "aria-invalid": boolean }) => ReactElement;
}

/** An input with its label, and with the sentence that says why it was rejected. */
export function Field({ label, error, hint, isWide, isLabelHidden, children }: FieldProps) {
  const id = useId();
  return (
    <div className={isWide ? "field wide" : "field"}>
      <label htmlFor={id} className={isLabelHidden ? "hidden" : undefined}>
        {label} {hint && <small className="hint">{hint}</small>}
      </label>
      {children({ id, "aria-describedby": `${id}-error`, "aria-invalid": error !== undefined })}
      <span id={`${id}-error`} className="error">
        {error}
      </span>
    </div>
  );
}

/** After a rejected input, the first field with an error gets the focus. Returns the ref of the form. */
export function useFocusOfErrors(error: Error | null) {
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (error) form.current?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus();
  }, [error]);
  return form;
}

export function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
