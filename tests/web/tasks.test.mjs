import { expect, MILK, scenario, titlesOf } from "./scenario.mjs";
import { faults, held, problem, TASKS } from "./faults.mjs";

const COMPLETE = /\/complete$/;
const LONG = "x".repeat(201);

scenario("task is added with Enter, and is still there after a reload", async ({ tab }) => {
  await tab.add("Buy milk");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect(tab.newTask).toHaveValue("");
  await expect(tab.newTask).toBeFocused();
  await tab.page.reload();
  await expect(tab.titles).toHaveText(["Buy milk"]);
}, { isVariant: true });

scenario("double click on Add adds one task", async ({ tab, todo }) => {
  await tab.newTask.fill("Buy milk");
  await tab.button("Add").dblclick();
  await expect(tab.newTask).toHaveValue("");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
});

scenario("task is added with due date, priority, labels and notes", async ({ tab, todo }) => {
  await tab.newTask.fill("Buy milk");
  await tab.button("Details").click();
  await tab.field("Due").fill("2031-12-24");
  await tab.field("Priority").selectOption("Urgent");
  await tab.field("Labels").fill("home, Shop, home");
  await tab.field("Notes").fill("Two litres");
  await tab.button("Add").click();
  await expect(tab.task("Buy milk")).toContainText(/Two litres.*24 Dec 2031.*Urgent.*home.*Shop/);
  const [task] = (await todo.listTasks()).items;
  expect(task).toMatchObject({ due_date: "2031-12-24", priority: "urgent", labels: ["home", "Shop"], description: "Two litres" });
  await expect(tab.labels.getByRole("button")).toHaveText(["home 1 open", "Shop 1 open"]);
});

scenario("title that is too long is said at its field, and can be shortened", async ({ tab, todo }) => {
  await tab.add(LONG);
  await expect(tab.newTask).toHaveAccessibleDescription("Must have at most 200 characters.");
  await expect(tab.newTask).toHaveAttribute("aria-invalid", "true");
  await expect(tab.newTask).toBeFocused();
  await expect(tab.newTask).toHaveValue(LONG);
  await tab.newTask.press("Backspace");
  await tab.newTask.press("Enter");
  await expect(tab.titles).toHaveText([LONG.slice(1)]);
  await expect(tab.newTask).toHaveAttribute("aria-invalid", "false");
  expect(await titlesOf(todo)).toEqual([LONG.slice(1)]);
}, { failures: ["422"] });

scenario("label that is too long is said at its field", async ({ tab }) => {
  await tab.newTask.fill("Buy milk");
  await tab.button("Details").click();
  await tab.field("Labels").fill("x".repeat(51));
  await tab.button("Add").click();
  await expect(tab.field("Labels")).toHaveAccessibleDescription(/at most 50 characters/);
  await expect(tab.field("Labels")).toBeFocused();
  await expect(tab.newTask).toHaveAttribute("aria-invalid", "false");
}, { isVariant: true, failures: ["422"] });

scenario("title of spaces is not added", async ({ tab, todo }) => {
  await tab.add("   ");
  await expect(tab.button("Add")).toBeDisabled();
  await tab.add("Buy milk");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { isVariant: true });

scenario("title of invisible characters is said at its field", async ({ tab }) => {
  await tab.add("\u200B");
  await expect(tab.newTask).toHaveAccessibleDescription("Must have a visible character, and no NUL character.");
}, { isVariant: true, failures: ["422"] });

scenario("task is shown as done before the service has answered", async ({ context, tab, todo, ids: [id] }) => {
  await tab.button("All").click();
  const answer = held();
  await faults(context, "PATCH", COMPLETE, answer);
  await tab.checkbox("Buy milk").check();
  await expect(tab.checkbox("Buy milk")).toBeChecked();
  expect((await todo.getTask({ task_id: id })).completed).toBe(false);
  answer.release();
  await expect(tab.task("Buy milk")).toHaveAttribute("aria-busy", "false");
  await expect(tab.checkbox("Buy milk")).toBeChecked();
  expect((await todo.getTask({ task_id: id })).completed).toBe(true);
}, { tasks: [MILK] });

scenario("task whose completion fails is shown as open again, and can be completed", async ({ context, tab, todo }) => {
  await tab.button("All").click();
  const unavailable = problem(503, "database-unavailable", { "Retry-After": "31" });
  await faults(context, "PATCH", COMPLETE, unavailable);
  await tab.checkbox("Buy milk").click();
  await expect(tab.messages).toContainText("“Buy milk” was not changed. The service has a problem at the moment. Try again in 31 s.");
  await expect(tab.checkbox("Buy milk")).not.toBeChecked();
  await tab.button("Try again").click();
  await expect(tab.checkbox("Buy milk")).toBeChecked();
  await expect(tab.messages).toHaveText("");
  await expect.poll(async () => (await todo.listTasks()).items[0].completed).toBe(true);
}, { tasks: [MILK], failures: ["503"] });

scenario("done task leaves the open ones, and is opened again", async ({ tab, todo }) => {
  await tab.add("Buy milk");
  await tab.checkbox("Buy milk").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await tab.button("Done").click();
  await tab.checkbox("Buy milk").click();
  await expect(tab.page.getByText("Nothing is done yet")).toBeVisible();
  await tab.button("Open").click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
}, { isVariant: true });

scenario("edit is saved with Enter, and cancelled with Escape", async ({ tab, todo }) => {
  await tab.add("Buy milk");
  const title = (await tab.edit("Buy milk")).getByLabel("Title");
  await expect(title).toBeFocused();
  await title.fill("Buy tea");
  await title.press("Escape");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect(tab.button("Edit Buy milk")).toBeFocused();
  const form = await tab.edit("Buy milk");
  await form.getByLabel("Title").fill("Buy oat milk");
  await form.getByLabel("Due").fill("2031-12-24");
  await form.getByLabel("Title").press("Enter");
  await expect(tab.task("Buy oat milk")).toContainText("24 Dec 2031");
  await expect(tab.button("Edit Buy oat milk")).toBeFocused();
  expect((await todo.listTasks()).items).toMatchObject([{ title: "Buy oat milk", due_date: "2031-12-24" }]);
});

scenario("rejected edit is said at its field, and keeps what is typed", async ({ tab }) => {
  await tab.add("Buy milk");
  const title = (await tab.edit("Buy milk")).getByLabel("Title");
  await title.fill("");
  await title.press("Enter");
  await expect(title).toHaveAccessibleDescription("Give the task a title.");
  await title.fill(LONG);
  await title.press("Enter");
  await expect(title).toHaveAccessibleDescription("Must have at most 200 characters.");
  await expect(title).toHaveValue(LONG);
  await expect(title).toBeFocused();
}, { isVariant: true, failures: ["422"] });

scenario("deletion is undone, by button and by key", async ({ tab, todo }) => {
  await tab.add("Buy milk");
  await tab.button("Delete Buy milk").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect.poll(() => titlesOf(todo)).toEqual([]);
  await tab.button("Undo").click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect.poll(() => titlesOf(todo)).toEqual(["Buy milk"]);
  await tab.button("Delete Buy milk").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await tab.page.keyboard.press("Control+z");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect.poll(() => titlesOf(todo)).toEqual(["Buy milk"]);
});

scenario("deletion that is undone before its answer leaves the task", async ({ context, tab, todo, ids: [id] }) => {
  const deletion = held();
  const restoration = held();
  await faults(context, "DELETE", new RegExp(`/${id}$`), deletion);
  await faults(context, "POST", new RegExp(`/${id}/restore$`), restoration);
  await tab.button("Delete Buy milk").click();
  await tab.button("Undo").click();
  await expect(tab.button("Edit Buy milk")).toBeFocused();
  await expect(tab.task("Buy milk")).not.toContainText("connection");
  const sent = tab.page.waitForRequest(`**/${id}/restore`);
  deletion.release();
  await sent;
  await expect(tab.button("Edit Buy milk")).toBeFocused();
  restoration.release();
  await expect(tab.task("Buy milk")).toHaveAttribute("aria-busy", "false");
  await expect(tab.button("Edit Buy milk")).toBeFocused();
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { tasks: [MILK] });
