// What a failed call means for the person.
import { TodoApiError } from "todo-api-client";
import type { Draft } from "./draft.ts";

/** Whether there is no answer, of the service or of Better Auth. */
export function isLost(error: Error): boolean {
  return !(error instanceof TodoApiError) || error.kind === "network";
}

/** Whether the task was deleted in the meantime. */
export function isGone(error: Error | null): boolean {
  return error instanceof TodoApiError && error.status === 404;
}

export function describe(error: Error): string {
  if (!(error instanceof TodoApiError)) return "The server of this page does not answer.";
  const wait = error.retryAfter === undefined ? "" : ` Try again in ${Math.ceil(error.retryAfter)} s.`;
  if (error.kind === "network") return "The service does not answer.";
  if (error.kind === "signed-out") return "You are signed out.";
  if (error.status === 429) return `Too many requests.${wait}`;
  if (error.status >= 500) return `The service has a problem at the moment.${wait}`;
  if (isGone(error)) return "This task was deleted in the meantime.";
  if (error.status === 412) return "This task was changed in the meantime. Save again to compare.";
  const invalid = inputErrors(error);
  if (invalid.length) return invalid.map(({ detail }) => detail).join(" ");
  return error.problem?.detail ?? "That did not work.";
}

/** The sentences of a rejected input, by the fields of the form that they are about. */
export function fieldErrors(error: Error | null): Partial<Record<keyof Draft, string>> {
  const found: Partial<Record<keyof Draft, string>> = {};
  for (const { pointer, detail } of inputErrors(error)) {
    const member = pointer?.split("/")[1];
    const field = member?.startsWith("due") ? "due" : (member as keyof Draft | undefined);
    if (field) found[field] ??= detail;
  }
  return found;
}

function inputErrors(error: Error | null) {
  const problem = error instanceof TodoApiError ? error.problem : undefined;
  return problem?.type === "/problems/validation-failed" ? problem.errors : [];
}
