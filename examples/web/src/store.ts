import { useSyncExternalStore } from "react";

/** A value outside of React, which components follow with `use()`. */
export function createStore<T>(value: T) {
  const listeners = new Set<() => void>();
  function subscribe(listener: () => void): () => void {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }
  return {
    get: () => value,
    set(next: T): void {
      value = next;
      for (const listener of [...listeners]) listener();
    },
    /** Resolves when the value is set again. */
    next(): Promise<void> {
      return new Promise((resolve) => {
        const stop = subscribe(() => (stop(), resolve()));
      });
    },
    use: () => useSyncExternalStore(subscribe, () => value),
  };
}
