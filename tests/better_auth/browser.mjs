// A browser with the frontend's api.ts, unchanged: signs up, and creates and lists a task.
//
// Environment: BETTER_AUTH_URL, NEXT_PUBLIC_API_URL. It prints the user's id and the list.

import assert from "node:assert/strict";
import { registerHooks } from "node:module";
import { createAuthClient } from "better-auth/client";
import { jwtClient } from "better-auth/client/plugins";

registerHooks({
  resolve: (specifier, context, next) =>
    specifier === "@/lib/auth-client" ? { url: import.meta.url, shortCircuit: true } : next(specifier, context),
});

let cookie = "";
export const authClient = createAuthClient({
  baseURL: process.env.BETTER_AUTH_URL,
  plugins: [jwtClient()],
  // What a browser does by itself.
  fetchOptions: {
    onRequest: ({ headers }) => {
      headers.set("Origin", process.env.BETTER_AUTH_URL);
      if (cookie) headers.set("Cookie", cookie);
    },
    onSuccess: ({ response }) => {
      const set = response.headers.getSetCookie().map((line) => line.split(";")[0]);
      if (set.length) cookie = set.join("; ");
    },
  },
});

async function main() {
  const { api } = await import("./api.ts");
  const person = { name: "Ada", email: "ada@example.com", password: "correct horse battery" };
  const { data, error } = await authClient.signUp.email(person);
  assert.ok(data, error?.message);
  const own = { params: { path: { user_id: data.user.id } } };
  const created = await api.POST("/api/{user_id}/tasks", { ...own, body: { title: "Buy milk" } });
  assert.equal(created.response.status, 201);
  const listed = await api.GET("/api/{user_id}/tasks", own);
  console.log(JSON.stringify({ user: data.user.id, items: listed.data.items }));
}

void main();
