// The same tasks in a Server Component.
import { Suspense } from "react";
import { serverTodo } from "@/lib/server-todo";

export default function Page() {
  return (
    <Suspense fallback={<p>Loading</p>}>
      <Tasks />
    </Suspense>
  );
}

async function Tasks() {
  const { items } = await serverTodo().listTasks();
  return <ul>{items.map((task) => <li key={task.id}>{task.title}</li>)}</ul>;
}
