// The built page (dist/), read and compressed once at start.
import { readdirSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";

const TYPES: Record<string, string> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};
const YEAR = 365 * 24 * 60 * 60;

/** Returns a handler that answers with the files of a folder. The page sends its requests to the API at `apiUrl`. */
export function servePage(folder: string, apiUrl: string) {
  const headers = {
    "Content-Security-Policy":
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; " +
      `connect-src 'self' ${new URL(apiUrl).origin}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
  };
  const files = new Map<string, { body: Buffer; compressed: Buffer; headers: Record<string, string> }>();
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const type = TYPES[extname(name)];
    if (!type) continue;
    const path = `/${name.replaceAll("\\", "/")}`;
    let body = readFileSync(join(folder, name));
    if (name === "index.html") body = Buffer.from(withApiUrl(body.toString(), apiUrl));
    // The names of the files in assets/ have a hash of their content.
    const cache = path.startsWith("/assets/") ? `public, max-age=${YEAR}, immutable` : "no-cache";
    const own = { ...headers, "Content-Type": type, "Cache-Control": cache, Vary: "Accept-Encoding" };
    files.set(path === "/index.html" ? "/" : path, { body, compressed: gzipSync(body), headers: own });
  }

  return (request: IncomingMessage, response: ServerResponse): unknown => {
    const file = files.get((request.url ?? "/").split("?", 1)[0]!);
    if (!file) return response.writeHead(404, { ...headers, "Content-Type": "text/plain" }).end("Not found\n");
    if (!["GET", "HEAD"].includes(request.method ?? "")) return response.writeHead(405, { Allow: "GET, HEAD" }).end();
    const gzip = /\bgzip\b/.test(String(request.headers["accept-encoding"] ?? ""));
    const body = gzip ? file.compressed : file.body;
    response.writeHead(200, {
      ...file.headers,
      ...(gzip && { "Content-Encoding": "gzip" }),
      "Content-Length": body.length,
    });
    return response.end(request.method === "HEAD" ? undefined : body);
  };
}

/** Writes the API's URL into the page, so that the same build serves every environment. */
function withApiUrl(html: string, apiUrl: string): string {
  const escaped = apiUrl.replaceAll("&", "&amp;").replaceAll('"', "&quot;");
  return html.replace(/(<meta name="todo-api" content=")[^"]*/, (_, start) => start + escaped);
}
