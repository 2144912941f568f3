// Express 5 with jsonwebtoken, on pg. Express has no validation, so the bounds of the contract are checked by hand.
import express from "express";
import jwt from "jsonwebtoken";
import { create, get, list, maxId, port, secret, update } from "./common.js";

const checks = {
  title: (value) => typeof value === "string" && value.length >= 1 && value.length <= 200,
  description: (value) => value === null || (typeof value === "string" && value.length <= 2000),
  completed: (value) => typeof value === "boolean",
};

const body = (members, required = []) => (request, response, next) => {
  const values = request.body;
  const valid =
    values !== null &&
    typeof values === "object" &&
    Object.keys(values).length > 0 &&
    required.every((name) => name in values) &&
    Object.entries(values).every(([name, value]) => members.includes(name) && checks[name](value));
  if (valid) next();
  else response.status(422).json({ message: "Invalid body" });
};

const integer = (text, maximum) => (/^[1-9][0-9]*$/.test(text) && Number(text) <= maximum ? Number(text) : undefined);

const app = express();
app.use(express.json());

app.use("/api/:user_id", (request, response, next) => {
  const [scheme, token] = (request.get("authorization") ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer") return response.status(401).json({ message: "No token" });
  try {
    const { sub, exp } = jwt.verify(token, secret, { algorithms: ["HS256"] });
    if (!sub || !exp) return response.status(401).json({ message: "Invalid token" });
    request.owner = sub;
  } catch {
    return response.status(401).json({ message: "Invalid token" });
  }
  if (request.owner !== request.params.user_id) return response.status(403).json({ message: "Not yours" });
  next();
});

app.param("task_id", (request, response, next, text) => {
  request.taskId = integer(text, maxId);
  if (request.taskId) next();
  else response.status(422).json({ message: "Invalid id" });
});

const found = (task, response) => (task ? response.json(task) : response.status(404).json({ message: "No such task" }));

app.get("/api/:user_id/tasks", async (request, response) => {
  const limit = integer(request.query.limit ?? "50", 100);
  if (limit) response.json(await list(request.owner, limit, request.query.cursor));
  else response.status(422).json({ message: "Invalid limit" });
});
app.post("/api/:user_id/tasks", body(["title", "description", "completed"], ["title"]), async (request, response) => {
  response.status(201).json(await create(request.owner, request.body));
});
app.get("/api/:user_id/tasks/:task_id", async (request, response) => {
  found(await get(request.owner, request.taskId), response);
});
app.put("/api/:user_id/tasks/:task_id", body(["title", "description", "completed"]), async (request, response) => {
  found(await update(request.owner, request.taskId, request.body), response);
});
app.patch("/api/:user_id/tasks/:task_id/complete", body(["completed"], ["completed"]), async (request, response) => {
  found(await update(request.owner, request.taskId, request.body), response);
});

app.listen(port, "127.0.0.1");
