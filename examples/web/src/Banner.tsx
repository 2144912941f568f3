import type { ReactNode } from "react";

/** A sentence about the whole page, with what the person can do. */
export function Banner({ action, children }: { action?: { label: string; run: () => void }; children: ReactNode }) {
  return (
    <div className="banner" role="alert">
      <span>{children}</span>
      {action && <button onClick={action.run}>{action.label}</button>}
    </div>
  );
}
