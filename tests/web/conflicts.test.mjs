import { expect, MILK, openTab, scenario, withClock } from "./scenario.mjs";

const onlyTask = async (todo) => (await todo.listTasks()).items[0];

/** Two tabs in which the same task is edited: the second one is saved first. */
async function editTwice(context, tab, first, second) {
  const other = await openTab(context);
  await type(await tab.edit("Buy milk"), first);
  const form = await other.edit("Buy milk");
  await type(form, second);
  await form.getByRole("button", { name: "Save" }).click();
  await expect(form).toBeHidden();
  await tab.page.bringToFront();
  await tab.editor("Buy milk").getByRole("button", { name: "Save" }).click();
  return other;
}

async function type(form, fields) {
  for (const [name, text] of Object.entries(fields)) await form.getByLabel(name).fill(text);
}

scenario("different fields that two tabs edit are merged", async ({ context, tab, todo }) => {
  await editTwice(context, tab, { Title: "Buy oat milk" }, { Due: "2031-12-24", Labels: "home" });
  await expect(tab.task("Buy oat milk")).toContainText(/24 Dec 2031.*home/);
  await expect(tab.conflict).toBeHidden();
  expect(await onlyTask(todo)).toMatchObject({ title: "Buy oat milk", due_date: "2031-12-24", labels: ["home"] });
}, { tasks: [MILK], failures: ["412"] });

for (const [whose, title] of [["Yours", "Buy oat milk"], ["Theirs", "Buy tea"]]) {
  scenario(`field that two tabs edit is shown in both versions, and ${whose.toLowerCase()} is kept`, async ({ context, tab, todo }) => {
    const other = await editTwice(context, tab, { Title: "Buy oat milk", Notes: "Two litres" }, { Title: "Buy tea", Due: "2031-12-24" });
    const choices = tab.conflict.getByRole("group", { name: "Title" });
    await expect(choices.getByRole("radio", { name: "Yours Buy oat milk" })).toBeChecked();
    await expect(choices.getByRole("radio", { name: "Theirs Buy tea" })).not.toBeChecked();
    await expect(tab.conflict.getByRole("group")).toHaveCount(1);
    await choices.getByRole("radio", { name: whose }).check();
    await tab.conflict.getByRole("button", { name: "Keep these" }).click();
    await expect(tab.titles).toHaveText([title]);
    expect(await onlyTask(todo)).toMatchObject({ title, description: "Two litres", due_date: "2031-12-24" });
    await expect(tab.page.getByText(`Saved ${title}`)).toBeAttached();
    // Playwright gives the focus to all tabs, so no event says that the person is back.
    await other.page.evaluate(() => window.dispatchEvent(new Event("focus")));
    await expect(other.task(title)).toContainText("Two litres");
  }, { isVariant: whose === "Theirs", tasks: [MILK], failures: ["412"] });
}

scenario("conflict that is decided later keeps the edit open", async ({ context, tab, todo }) => {
  await editTwice(context, tab, { Title: "Buy oat milk" }, { Title: "Buy tea" });
  await expect(tab.conflict).toBeVisible();
  await tab.page.keyboard.press("Escape");
  await expect(tab.conflict).toBeHidden();
  await expect(tab.page.getByRole("form", { name: /^Edit / }).getByLabel("Title")).toHaveValue("Buy oat milk");
  expect(await onlyTask(todo)).toMatchObject({ title: "Buy tea" });
  await tab.button("Save").click();
  await tab.conflict.getByRole("button", { name: "Keep these" }).click();
  await expect(tab.titles).toHaveText(["Buy oat milk"]);
  expect(await onlyTask(todo)).toMatchObject({ title: "Buy oat milk" });
}, { isVariant: true, tasks: [MILK], failures: ["412"] });

scenario("task that another tab has edited is completed, and its edit stays", async ({ context, tab, todo, ids: [id] }) => {
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await todo.patchTask({ task_id: id, body: { title: "Buy tea" } });
  await tab.checkbox("Buy milk").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect.poll(() => onlyTask(todo)).toMatchObject({ title: "Buy tea", completed: true });
}, { isVariant: true, tasks: [MILK], failures: ["412"] });

scenario("edit of a task that was deleted elsewhere is restored with it", async ({ tab, todo, ids: [id] }) => {
  const form = await tab.edit("Buy milk");
  await todo.deleteTask({ task_id: id });
  await type(form, { Title: "Buy oat milk" });
  await form.getByRole("button", { name: "Save" }).click();
  await expect(tab.alert).toHaveText("This task was deleted in the meantime.");
  await tab.button("Restore and save").click();
  await expect(tab.titles).toHaveText(["Buy oat milk"]);
  expect(await onlyTask(todo)).toMatchObject({ title: "Buy oat milk" });
}, { isVariant: true, tasks: [MILK], failures: ["404", "412"] });

scenario("change of another device appears in half a minute", async ({ tab, todo, ids: [id] }) => {
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await todo.patchTask({ task_id: id, body: { title: "Buy tea", labels: ["home"] } });
  await todo.createTask({ body: { title: "Buy bread" } });
  await tab.page.clock.fastForward("00:31");
  await expect(tab.titles).toHaveText(["Buy bread", "Buy tea"]);
  await expect(tab.labels.getByRole("button")).toHaveText(["home 1 open"]);
  await todo.deleteTask({ task_id: id });
  await tab.page.clock.fastForward("00:31");
  await expect(tab.titles).toHaveText(["Buy bread"]);
}, { tasks: [MILK], prepare: withClock });
