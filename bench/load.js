// Does the same as load.lua with autocannon, if wrk is not installed. Arguments: URL, seconds, connections, and those of
// load.lua.
import { readFileSync } from "node:fs";
import autocannon from "autocannon";

const [url, seconds, connections, file, tasks, , ...weights] = process.argv.slice(2);
const tokens = readFileSync(file, "utf8").trim().split("\n");
const limits = weights.map((_, index) => weights.slice(0, index + 1).reduce((sum, weight) => sum + Number(weight), 0));
const random = (count) => Math.floor(Math.random() * count);

function setupRequest(request) {
  const user = random(tokens.length);
  const chance = random(100) + 1;
  const operation = limits.findIndex((limit) => chance <= limit);
  const list = `/api/user-${user + 1}/tasks`;
  const task = `${list}/${random(Number(tasks)) * tokens.length + user + 1}`;
  const [method, path, body] = [
    ["GET", task],
    ["GET", `${list}?limit=50`],
    ["POST", list, '{"title": "Buy milk", "description": "Two litres"}'],
    ["PUT", task, '{"title": "Buy oat milk", "description": null}'],
    ["PATCH", `${task}/complete`, '{"completed": true}'],
  ][operation];
  const headers = { authorization: `Bearer ${tokens[user]}`, ...(body && { "content-type": "application/json" }) };
  return { ...request, method, path, headers, body };
}

const result = await autocannon({ url, duration: seconds, connections, requests: [{ setupRequest }] });
const { p50, p99 } = result.latency;
const summary = { requests: result.requests.total, seconds: result.duration, errors: result.errors + result.non2xx, p50, p99 };
console.log(`RESULT ${JSON.stringify(summary)}`);
