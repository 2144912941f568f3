// lib/api.ts
import createClient from "openapi-fetch";
import { authClient } from "@/lib/auth-client";
import type { paths } from "./schema";

export const api = createClient<paths>({ baseUrl: process.env.NEXT_PUBLIC_API_URL! });

api.use({
  async onRequest({ request }) {
    const { data } = await authClient.token();
    if (data) request.headers.set("Authorization", `Bearer ${data.token}`);
    return request;
  },
});
