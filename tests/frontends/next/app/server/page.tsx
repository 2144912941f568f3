// The same tasks in a Server Component.
import { serverTodo } from "@/lib/server-todo";

export default async function Page() {
  const { items } = await serverTodo().listTasks();
  return <ul>{items.map((task) => <li key={task.id}>{task.title}</li>)}</ul>;
}
