// lib/todo.ts
import { createTodoClient, tokenFrom } from "todo-api-client";
import { authClient } from "@/lib/auth-client";
export const todo = createTodoClient({ baseUrl: process.env.NEXT_PUBLIC_API_URL!, getToken: tokenFrom("/api/auth/token") });
authClient.$store.listen("$sessionSignal", todo.forgetToken); // sign-in, sign-out
