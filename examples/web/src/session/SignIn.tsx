import { type FormEvent, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { authClient, followSignIn, setUser } from "./session.ts";

/** The form for a new user and a known one. With `email`, this user signs in again. */
export function SignIn({ email }: { email?: string }) {
  const [isNew, setNew] = useState(false);
  const [isPending, setPending] = useState(false);
  const [error, setError] = useState("");
  const form = useRef<HTMLFormElement>(null);

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (isPending) return;
    const given = Object.fromEntries(new FormData(event.currentTarget)) as Record<string, string>;
    const account = { email: given.email!.trim(), password: given.password! };
    setPending(true);
    setError("");
    const answer = await (isNew
      ? authClient.signUp.email({ ...account, name: given.name!.trim() })
      : authClient.signIn.email(account)
    ).catch(() => ({ error: { message: "No connection. Try again." } }));
    if (answer.error) setError(answer.error.message ?? "That did not work. Try again.");
    else await followSignIn();
    setPending(false);
  }

  function change(next: boolean) {
    flushSync(() => setNew(next));
    setError("");
    form.current?.querySelector("input")?.focus();
  }

  return (
    <form ref={form} className="sign-in" aria-labelledby="sign-in" onSubmit={submit}>
      {!email && <img src="/icon.svg" alt="" width="44" height="44" />}
      <h1 id="sign-in" tabIndex={-1}>{email ? "Sign in again" : isNew ? "Create an account" : "Sign in"}</h1>
      {email && <p>Your session has ended. What you have typed is still here.</p>}
      {isNew && (
        <label>
          Name
          <input name="name" autoComplete="name" required maxLength={100} />
        </label>
      )}
      <label>
        E-mail
        <input name="email" type="email" autoComplete="username" required defaultValue={email} readOnly={!!email} />
      </label>
      <label>
        Password
        <input
          name="password"
          type="password"
          autoComplete={isNew ? "new-password" : "current-password"}
          required
          minLength={8}
          aria-describedby={isNew ? "password-rule" : undefined}
        />
      </label>
      {isNew && (
        <small id="password-rule" className="hint">
          At least 8 characters.
        </small>
      )}
      <p role="alert" className="error">
        {error}
      </p>
      <button className="primary" aria-disabled={isPending}>
        {isNew ? "Create account" : "Sign in"}
      </button>
      {email ? (
        <button type="button" className="link" onClick={() => setUser(null)}>
          Use another account
        </button>
      ) : (
        <p className="switch">
          {isNew ? "You have an account?" : "New here?"}{" "}
          <button type="button" className="link" onClick={() => change(!isNew)}>
            {isNew ? "Sign in instead" : "Create an account"}
          </button>
        </p>
      )}
    </form>
  );
}
