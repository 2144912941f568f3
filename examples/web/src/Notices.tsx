import { announcement, notice } from "./notices.ts";

export function Notices() {
  const now = notice.use();
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
              <button
                onClick={() => {
                  notice.set(null);
                  now.action?.run();
                }}
              >
                {now.action.label}
              </button>
            )}
            <button aria-label="Dismiss" onClick={() => notice.set(null)}>
              ×
            </button>
          </div>
        )}
      </div>
    </>
  );
}
