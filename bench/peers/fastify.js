// Fastify 5 with its own validation, serialization by schema and @fastify/jwt, on pg.
import jwt from "@fastify/jwt";
import Fastify from "fastify";
import { create, get, list, maxId, port, secret, update } from "./common.js";

const title = { type: "string", minLength: 1, maxLength: 200 };
const description = { type: "string", maxLength: 2000, nullable: true };
const completed = { type: "boolean" };
const time = { type: "string", format: "date-time" };
const closed = { type: "object", additionalProperties: false };

const task = {
  type: "object",
  properties: {
    id: { type: "integer" },
    user_id: { type: "string" },
    title: { type: "string" },
    description: { type: "string", nullable: true },
    completed,
    created_at: time,
    updated_at: time,
  },
};
const page = {
  type: "object",
  properties: { items: { type: "array", items: task }, next_cursor: { type: "string", nullable: true } },
};
const params = {
  type: "object",
  properties: { user_id: { type: "string" }, task_id: { type: "integer", minimum: 1, maximum: maxId } },
};
const querystring = {
  ...closed,
  properties: {
    limit: { type: "integer", minimum: 1, maximum: 100, default: 50 },
    cursor: { type: "integer", minimum: 1, maximum: maxId },
  },
};
const responses = { 200: task, 201: task };

// Rejects unknown members instead of removing them, as the other servers do. Numbers are still coerced to strings.
const app = Fastify({ ajv: { customOptions: { removeAdditional: false } } });
app.register(jwt, { secret, verify: { algorithms: ["HS256"], requiredClaims: ["exp", "sub"] } });

app.addHook("onRequest", async (request, reply) => {
  await request.jwtVerify();
  if (request.user.sub !== request.params.user_id) return reply.code(403).send({ message: "Not yours" });
});

const found = (task, reply) => task ?? reply.code(404).send({ message: "No such task" });

app.get("/api/:user_id/tasks", { schema: { params, querystring, response: { 200: page } } }, (request) =>
  list(request.user.sub, request.query.limit, request.query.cursor),
);
app.post(
  "/api/:user_id/tasks",
  { schema: { params, body: { ...closed, required: ["title"], properties: { title, description, completed } }, response: responses } },
  async (request, reply) => {
    reply.code(201);
    return create(request.user.sub, request.body);
  },
);
app.get("/api/:user_id/tasks/:task_id", { schema: { params, response: responses } }, async (request, reply) =>
  found(await get(request.user.sub, request.params.task_id), reply),
);
app.put(
  "/api/:user_id/tasks/:task_id",
  { schema: { params, body: { ...closed, minProperties: 1, properties: { title, description, completed } }, response: responses } },
  async (request, reply) => found(await update(request.user.sub, request.params.task_id, request.body), reply),
);
app.patch(
  "/api/:user_id/tasks/:task_id/complete",
  { schema: { params, body: { ...closed, required: ["completed"], properties: { completed } }, response: responses } },
  async (request, reply) => found(await update(request.user.sub, request.params.task_id, request.body), reply),
);

await app.listen({ port, host: "127.0.0.1" });
