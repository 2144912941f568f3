"use client";
// A page with the client in a client component: sign-up, the tasks, a form for another one, sign-out.
import { useEffect, useState } from "react";
import type { Task } from "todo-api-client";
import { authClient } from "@/lib/auth-client";
import { todo } from "@/lib/todo";

export default function Page() {
  const { data: session, isPending } = authClient.useSession();
  if (isPending) return <p>Loading</p>;
  return session ? <Tasks user_id={session.user.id} key={session.user.id} /> : <SignUp />;
}

function SignUp() {
  async function signUp(form: FormData) {
    await authClient.signUp.email({ name: "Ada", email: String(form.get("email")), password: "correct horse battery" });
  }
  return (
    <form action={signUp}>
      <input name="email" type="email" aria-label="E-mail" required />
      <button>Sign up</button>
    </form>
  );
}

function Tasks({ user_id }: { user_id: string }) {
  const [tasks, setTasks] = useState<Task[]>();
  useEffect(() => {
    todo.listTasks({ user_id }).then(({ items }) => setTasks(items));
  }, [user_id]);
  async function add(form: FormData) {
    const task = await todo.createTask({ user_id, body: { title: String(form.get("title")) } });
    setTasks((others = []) => [task, ...others]);
  }
  if (!tasks) return <p>Loading</p>;
  return (
    <>
      <form action={add}>
        <input name="title" aria-label="Title" required />
        <button>Add</button>
      </form>
      <p>{tasks.length} tasks</p>
      <ul>{tasks.map((task) => <li key={task.id}>{task.title}</li>)}</ul>
      <button onClick={() => authClient.signOut()}>Sign out</button>
    </>
  );
}
