// lib/server-todo.ts
import { headers } from "next/headers";
import { createTodoClient } from "todo-api-client";
import { auth } from "@/lib/auth";
const getToken = async () => (await auth.api.getToken({ headers: await headers() })).token;
export const serverTodo = () => createTodoClient({ baseUrl: process.env.NEXT_PUBLIC_API_URL!, getToken });
