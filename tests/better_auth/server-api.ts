// lib/server-api.ts
import { headers } from "next/headers";
import createClient from "openapi-fetch";
import { auth } from "@/lib/auth";
import type { paths } from "./schema";

export async function serverApi() {
  const { token } = await auth.api.getToken({ headers: await headers() });
  return createClient<paths>({
    baseUrl: process.env.NEXT_PUBLIC_API_URL!,
    headers: { Authorization: `Bearer ${token}` },
  });
}
