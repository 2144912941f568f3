import { useEffect } from "react";
import { announcement, notice } from "./notices.ts";

export function Notices() {
  const now = notice.use();
  useEffect(() => {
    document.addEventListener("keydown", undo);
    return () => document.removeEventListener("keydown", undo);
  }, []);
  return (
    <>
      <div className="hidden" aria-live="polite">
        {announcement.use()}
      </div>
      <div role="status">
        {now && (
          <div className={now.tone === "error" ? "notice bad" : "notice"}>
            <span>{now.text}</span>
            {now.action && (
              <button aria-keyshortcuts="Control+Z" onClick={act}>
                {now.action.label}
              </button>
            )}
            <button aria-label="Dismiss" onClick={close}>
              ×
            </button>
          </div>
        )}
      </div>
    </>
  );
}

function close(): void {
  notice.set(null);
  // The button that had the focus is gone.
  document.querySelector("h1")?.focus();
}

function act(): void {
  const action = notice.get()?.action;
  close();
  action?.run();
}

/** Ctrl+Z does what the notice offers, unless a text is edited. */
function undo(event: KeyboardEvent): void {
  const isText = event.target instanceof Element && event.target.matches("input:not([type=checkbox]), textarea");
  if (event.key !== "z" || !(event.ctrlKey || event.metaKey) || isText || !notice.get()?.action) return;
  event.preventDefault();
  act();
}
