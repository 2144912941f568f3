// Serves the built page and Better Auth on one origin: `npm start`.
//
// Environment: PORT, API_URL (of todo-api), DATA_DIR (of the accounts), PAGE_DIR (of the built page), TOKEN_LIFETIME,
// and in production the public origin of this server as BETTER_AUTH_URL.
import { createServer } from "node:http";
import { join } from "node:path";
import { toNodeHandler } from "better-auth/node";
import { createAuth } from "./auth.ts";
import { servePage } from "./page.ts";

const here = import.meta.dirname;
const { PORT = "3000", API_URL = "http://127.0.0.1:8000", TOKEN_LIFETIME = "15m" } = process.env;
const { DATA_DIR = join(here, "../data"), PAGE_DIR = join(here, "../dist") } = process.env;
const url = process.env.BETTER_AUTH_URL ?? `http://127.0.0.1:${PORT}`;

const auth = await createAuth({
  url,
  trustedOrigins: [`http://localhost:${PORT}`],
  folder: DATA_DIR,
  tokenLifetime: TOKEN_LIFETIME,
});
const answerAuth = toNodeHandler(auth);
const answerPage = servePage(PAGE_DIR, API_URL);

const server = createServer((request, response) => {
  if (request.url?.startsWith("/api/auth/")) void answerAuth(request, response);
  else answerPage(request, response);
});
server.on("error", (error: NodeJS.ErrnoException) => {
  console.error(error.code === "EADDRINUSE" ? `Port ${PORT} is in use: set PORT to another one.` : error.message);
  process.exit(1);
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`The page is at ${url}`));
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => process.exit());
