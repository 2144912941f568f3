import { useEffect, useRef } from "react";
import { Modal } from "./Modal.tsx";
import { loadSession, session } from "./session/session.ts";
import { SignIn } from "./session/SignIn.tsx";
import { TasksPage } from "./tasks/TasksPage.tsx";

export function App() {
  const now = session.use();
  const shown = now.user?.id ?? now.status;
  const before = useRef(shown);
  useEffect(() => {
    // What had the focus is gone, after a sign-in or a sign-out, also in another tab.
    if (before.current !== shown && before.current !== "loading") document.querySelector("h1")?.focus();
    before.current = shown;
  }, [shown]);
  if (now.status === "loading") return null;
  if (now.status === "unreachable") {
    return (
      <main className="alone">
        <h1>No connection</h1>
        <p>The server of this page does not answer.</p>
        <button className="primary" onClick={() => void loadSession()}>
          Try again
        </button>
      </main>
    );
  }
  if (!now.user) {
    return (
      <main className="alone">
        <SignIn />
      </main>
    );
  }
  return (
    <>
      {/* With another user, everything is made again, so that nobody sees what another has typed or loaded. */}
      <TasksPage key={now.user.id} user={now.user} />
      {now.status === "expired" && (
        <Modal label="Sign in again">
          <SignIn email={now.user.email} />
        </Modal>
      )}
    </>
  );
}
