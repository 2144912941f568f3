// Who is signed in, by Better Auth.
import { createAuthClient } from "better-auth/client";
import { createStore } from "../store.ts";

export interface User {
  id: string;
  name: string;
  email: string;
}
export type Session =
  | { status: "loading" | "unreachable" | "signed-out"; user?: undefined }
  // The session has ended while the page is open: the page keeps what is typed, and asks to sign in again.
  | { status: "signed-in" | "expired"; user: User };

type SignedIn = { user: User; token: string };
let first: SignedIn | null = null;

export const authClient = createAuthClient();
export const session = createStore<Session>({ status: "loading" });

// Other tabs follow a sign-in and a sign-out at once.
const otherTabs = new BroadcastChannel("session");
otherTabs.onmessage = () => void loadSession();

export async function loadSession(): Promise<void> {
  try {
    const found = (first = await fetchSession());
    setUser(found && found.user);
  } catch {
    if (session.get().status === "loading") session.set({ status: "unreachable" });
  }
}

/** Call this after a sign-in. */
export async function followSignIn(): Promise<void> {
  await loadSession();
  otherTabs.postMessage("sign-in");
}

/** Returns false if Better Auth does not answer. */
export async function signOut(): Promise<boolean> {
  const answer = await authClient.signOut().catch(() => ({ error: true }));
  if (answer.error) return false;
  setUser(null);
  otherTabs.postMessage("sign-out");
  return true;
}

export function setUser(user: User | null): void {
  const before = session.get().user;
  // The URL has words of the user before.
  if (before && before.id !== user?.id) history.replaceState(null, "", location.pathname);
  session.set(user ? { status: "signed-in", user } : { status: "signed-out" });
}

/**
 * Returns a token for the API, or null if another user has signed in. If nobody is signed in any more, waits until the
 * user is again: calls of the API continue then, and nothing that the user did is lost.
 */
export async function tokenOf(user: User): Promise<string | null> {
  for (;;) {
    const found = takeFirst() ?? (await fetchSession());
    if (found?.user.id === user.id) return found.token;
    if (found) setUser(found.user);
    else if (isPresent(user)) session.set({ status: "expired", user });
    while (isPresent(user) && session.get().status === "expired") await session.next();
    if (!isPresent(user)) return null;
  }
}

/** The token that came with the session, once: at the start of the page, no second request is needed. */
function takeFirst(): SignedIn | null {
  const taken = first;
  first = null;
  return taken;
}

function isPresent(user: User): boolean {
  return session.get().user?.id === user.id;
}

/** One request returns the session and, in a header of Better Auth's jwt() plugin, a token. */
async function fetchSession(): Promise<SignedIn | null> {
  let token: string | null = null;
  const { data, error } = await authClient.getSession({
    fetchOptions: { onSuccess: ({ response }) => void (token = response.headers.get("set-auth-jwt")) },
  });
  if (error) throw new Error(`no session: ${error.status}`);
  return data && token ? { user: data.user, token } : null;
}
