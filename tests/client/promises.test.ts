import assert from "node:assert/strict";
import { test } from "node:test";
import { createTodoClient, TodoApiError } from "todo-api-client";
import { newUser, sign } from "./faults.ts";

const baseUrl = process.env["DEVELOPMENT_URL"]!;
const user = newUser();
const todo = createTodoClient({ baseUrl, getToken: () => sign(user), retries: 0 });

type Operation = { operationId: string; requestBody?: object; responses: Record<string, unknown> };
const contract: { paths: Record<string, Record<string, Operation>> } = await (await fetch(`${baseUrl}/openapi.json`)).json();
const operations = Object.values(contract.paths)
  .flatMap((item) => Object.values(item))
  .filter((each) => each.operationId);
const call = todo as unknown as Record<string, (input: object, options: object) => Promise<unknown>>;

for (const { operationId, requestBody, responses } of operations) {
  test(`${operationId} returns or throws each response that the contract promises`, async () => {
    for (const status of Object.keys(responses).map(Number)) {
      const input = { task_id: 1, label: "home", ...(requestBody && { body: {} }) };
      const answer = call[operationId]!(input, { headers: { Prefer: `status=${status}` } });
      if (status < 400) {
        await answer;
        continue;
      }
      const error = await answer.catch((thrown: unknown) => thrown);
      assert.ok(error instanceof TodoApiError, `${operationId} ${status}`);
      assert.deepEqual([error.kind, error.status, error.problem?.status], ["problem", status, status]);
      assert.equal(error.requestId, error.problem?.request_id);
      if (status === 503 || status === 429) assert.ok(error.retryAfter! > 0);
    }
  });
}
