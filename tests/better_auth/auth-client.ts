// lib/auth-client.ts
import { createAuthClient } from "better-auth/client"; // with React: "better-auth/react"

export const authClient = createAuthClient();
