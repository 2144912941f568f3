// Creates the tables of Better Auth, as its command line does: npx auth@latest migrate.
import { getMigrations } from "better-auth/db/migration";
import { auth } from "./lib/auth.ts";

const { runMigrations } = await getMigrations(auth.options);
await runMigrations();
await auth.options.database.end();
