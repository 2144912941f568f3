// Better Auth with accounts by e-mail and password, in one SQLite file, and with the tokens that the API accepts.
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { jwt } from "better-auth/plugins";

interface AuthSettings {
  /** The origin of the page, which is also issuer and audience of the tokens. */
  url: string;
  /** Further origins from which the page may be opened. */
  trustedOrigins: string[];
  /** The folder of the accounts and of the secret. */
  folder: string;
  /** How long a token is valid, such as `15m`. The session itself is valid for a week. */
  tokenLifetime: string;
}

export async function createAuth({ url, trustedOrigins, folder, tokenLifetime }: AuthSettings) {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const auth = betterAuth({
    baseURL: url,
    trustedOrigins,
    secret: keptSecret(join(folder, "secret")),
    database: new DatabaseSync(join(folder, "accounts.sqlite")),
    emailAndPassword: { enabled: true },
    // A token has the user's id (`sub`) and nothing else of the user.
    plugins: [jwt({ jwt: { expirationTime: tokenLifetime, definePayload: () => ({}) } })],
    telemetry: { enabled: false },
  });
  // Creates the tables at the first start.
  await (await getMigrations(auth.options)).runMigrations();
  return auth;
}

/** Returns the secret that signs the cookies. It is made at the first start, and kept. */
function keptSecret(file: string): string {
  if (!existsSync(file)) writeFileSync(file, randomBytes(32).toString("base64url"), { mode: 0o600 });
  return readFileSync(file, "utf8");
}
