import { badGateway, faults, LISTS, lostAnswer, problem, TASKS } from "./faults.mjs";
import { expect, MILK, scenario, titlesOf, withClock } from "./scenario.mjs";

const LOST = "ERR_FAILED";
const keysOf = (requests) => new Set(requests.map((request) => request.headers()["idempotency-key"]));

scenario("task is added once though its answer is lost", async ({ context, tab, todo }) => {
  const requests = await faults(context, "POST", TASKS, lostAnswer);
  await tab.add("Buy milk");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(requests.length).toBe(2);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { isVariant: true, failures: [LOST] });

scenario("task is added once though all answers are lost until the person tries again", async ({ context, tab, todo }) => {
  const requests = await faults(context, "POST", TASKS, lostAnswer, lostAnswer);
  await tab.add("Buy milk");
  await expect(tab.alert).toHaveText("The service does not answer.");
  await expect(tab.newTask).toHaveValue("Buy milk");
  await tab.newTask.press("Enter");
  await expect(tab.newTask).toHaveValue("");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect([requests.length, keysOf(requests).size]).toEqual([3, 1]);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { failures: [LOST] });

scenario("task is completed once though its answer is lost", async ({ context, tab, todo, ids: [id] }) => {
  const requests = await faults(context, "PATCH", /\/complete$/, lostAnswer);
  await tab.checkbox("Buy milk").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect.poll(() => requests.length).toBe(2);
  expect((await todo.getTask({ task_id: id })).completed).toBe(true);
  const changes = await Array.fromAsync(todo.changes());
  expect(changes.flatMap(({ changed }) => changed)).toMatchObject([{ id, completed: true }]);
}, { tasks: [MILK], failures: [LOST] });

scenario("deletion whose answer is lost is made once, and can be undone", async ({ context, tab, todo, ids: [id] }) => {
  const requests = await faults(context, "DELETE", new RegExp(`/${id}$`), lostAnswer);
  await tab.button("Delete Buy milk").click();
  await expect.poll(() => requests.length).toBe(2);
  await tab.button("Undo").click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect.poll(() => titlesOf(todo)).toEqual(["Buy milk"]);
}, { isVariant: true, tasks: [MILK], failures: [LOST] });

scenario("too many requests are said with the time to wait, and the list is read again", async ({ context, tab }) => {
  await expect(tab.alert).toContainText("The tasks cannot be read. Too many requests. Try again in 60 s.");
  await context.unrouteAll();
  await tab.button("Try again").click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect(tab.alert).toBeHidden();
}, {
  tasks: [MILK],
  failures: ["429"],
  prepare: (context) => faults(context, "GET", LISTS, ...Array(9).fill(problem(429, "too-many-requests", { "Retry-After": "60" }))),
});

scenario("request that may be repeated soon is repeated by itself", async ({ context, tab }) => {
  const requests = await faults(context, "POST", TASKS, problem(429, "too-many-requests", { "Retry-After": "20" }));
  const limited = tab.page.waitForResponse((answer) => answer.status() === 429);
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await tab.add("Buy milk");
  await limited;
  await expect(tab.button("Adding…")).toBeVisible();
  await tab.page.clock.runFor("00:21");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect([requests.length, keysOf(requests).size]).toEqual([2, 1]);
}, { isVariant: true, failures: ["429"], prepare: withClock });

scenario("page of a proxy is said in words, and nothing of it is shown", async ({ context, tab, todo }) => {
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await faults(context, "POST", TASKS, badGateway, badGateway);
  await tab.add("Buy milk");
  await expect(tab.alert).toHaveText("The service has a problem at the moment.");
  await expect(tab.page.getByText("Bad Gateway")).toBeHidden();
  await tab.button("Add").click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { failures: ["502"] });

scenario("changes that are made offline arrive once, with those of others", async ({ context, tab, todo, ids: [id] }) => {
  await expect(tab.titles).toHaveText(["Buy bread", "Buy milk"]);
  await context.setOffline(true);
  await expect(tab.alert).toHaveText("You are offline.");
  await tab.add("Buy tea");
  await expect(tab.newTask).toHaveValue("");
  await expect(tab.task("Buy tea")).toContainText("Waits for the connection");
  await tab.checkbox("Buy milk").click();
  await tab.button("Delete Buy bread").click();
  await expect(tab.alert).toContainText("You are offline. 3 changes wait for the connection.");
  await todo.createTask({ body: { title: "Buy a cake" } });
  await context.setOffline(false);
  await expect(tab.alert).toBeHidden();
  await expect(tab.titles).toHaveText(["Buy tea", "Buy a cake"]);
  await expect(tab.task("Buy tea")).not.toContainText("Waits for the connection");
  expect(await titlesOf(todo)).toEqual(["Buy a cake", "Buy milk", "Buy tea"]);
  expect((await todo.getTask({ task_id: id })).completed).toBe(true);
}, { tasks: [MILK, { title: "Buy bread" }] });

scenario("edit and undo that are made offline arrive in their order", async ({ context, tab, todo, ids: [id] }) => {
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await context.setOffline(true);
  const form = await tab.edit("Buy milk");
  await form.getByLabel("Title").fill("Buy oat milk");
  await form.getByLabel("Title").press("Enter");
  await expect(tab.task("Buy oat milk")).toContainText("Waits for the connection");
  await tab.button("Delete Buy oat milk").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await tab.button("Undo").click();
  const requests = [];
  context.on("request", (request) => request.url().includes(`/tasks/${id}`) && requests.push(request.method()));
  await context.setOffline(false);
  await expect(tab.task("Buy oat milk")).toHaveAttribute("aria-busy", "false");
  expect(requests).toEqual(["PATCH", "DELETE", "DELETE", "POST"]); // the first DELETE is 412
  await expect(tab.titles).toHaveText(["Buy oat milk"]);
  expect(await titlesOf(todo)).toEqual(["Buy oat milk"]);
}, { isVariant: true, tasks: [MILK], failures: ["412"] });

scenario("page that is opened without the service says so, and shows the tasks after a retry", async ({ context, tab }) => {
  await expect(tab.alert).toContainText("The tasks cannot be read. The service does not answer.");
  await context.unrouteAll();
  await tab.button("Try again").click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
}, {
  isVariant: true,
  tasks: [MILK],
  failures: [LOST],
  prepare: (context) => faults(context, "GET", LISTS, ...Array(9).fill((route) => route.abort())),
});
