// What the page says about an action after it: to everybody, and to screen readers only.
import { createStore } from "./store.ts";

export interface Notice {
  text: string;
  tone?: "error";
  action?: { label: string; run: () => void };
}

export const notice = createStore<Notice | null>(null);
export const announcement = createStore("");

export function announce(text: string): void {
  // A sentence that is said twice must differ to be read twice.
  announcement.set(announcement.get() === text ? `${text}\u200B` : text);
}

/** A title in a sentence. */
export function quoted(title: string): string {
  return `“${title.length > 60 ? `${title.slice(0, 60)}…` : title}”`;
}
