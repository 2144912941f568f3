import { expect, scenario } from "./scenario.mjs";

const COUNT = 120;
const name = (number) => `Task ${String(number).padStart(3, "0")}`;
const ALL = Array.from({ length: COUNT }, (_, index) => name(index));
const MANY = ALL.map((title) => ({ title }));

scenario("all of many tasks are reached by scrolling, each once", async ({ tab }) => {
  await tab.order.selectOption("By title");
  await expect(tab.titles.first()).toHaveText(name(0));
  expect(await tab.titles.count()).toBeLessThan(COUNT);
  await expect(async () => {
    await tab.titles.last().scrollIntoViewIfNeeded();
    expect(await tab.titles.count()).toBe(COUNT);
  }).toPass({ timeout: 20_000 });
  await expect(tab.titles).toHaveText(ALL);
  await expect(tab.button("Load more")).toBeHidden();
}, { isVariant: true, tasks: MANY });

scenario("all of many tasks are reached with the keyboard, each once, also if the list changes", async ({ tab, todo }) => {
  await tab.order.selectOption("By title");
  await expect(tab.titles.first()).toHaveText(name(0));
  await todo.createTask({ body: { title: `${name(1)} and a half` } });
  await tab.checkbox(name(0)).focus();
  await expect(async () => {
    await tab.page.keyboard.press("End");
    expect(await tab.titles.count()).toBeGreaterThanOrEqual(COUNT);
  }).toPass({ timeout: 20_000 });
  await expect(tab.titles.last()).toBeInViewport();
  const shown = await tab.titles.allTextContents();
  expect(shown.filter((title) => ALL.includes(title))).toEqual(ALL);
}, { tasks: MANY });

scenario("page of a list that fails is loaded by button", async ({ context, tab }) => {
  await context.route(/[?&]cursor=/, (route) => route.abort());
  await tab.titles.last().scrollIntoViewIfNeeded();
  await expect(tab.alert).toHaveText("The service does not answer.");
  expect(await tab.titles.count()).toBe(50);
  await context.unrouteAll();
  await tab.button("Load more").press("Enter");
  await expect(tab.titles).toHaveCount(60);
}, { isVariant: true, tasks: MANY.slice(0, 60), failures: ["ERR_FAILED"] });

scenario("views show the open, the overdue, the done and all tasks", async ({ tab }) => {
  await tab.checkbox("Done").click();
  const views = { Open: ["Late", "Soon"], Overdue: ["Late"], Done: ["Done"], All: ["Late", "Done", "Soon"] };
  for (const [view, titles] of Object.entries(views)) {
    await tab.views.getByRole("button", { name: view }).click();
    await expect(tab.titles).toHaveText(titles);
    await expect(tab.views.getByRole("button", { name: view })).toHaveAttribute("aria-current", "page");
    await expect(tab.heading).toHaveText(view);
    await expect(tab.page).toHaveTitle(`${view} – Tasks`);
  }
  await expect(tab.task("Late")).toContainText("Overdue: Wed, 1 Jan 2020");
  await tab.page.goBack();
  await expect(tab.titles).toHaveText(["Done"]);
  await tab.page.reload();
  await expect(tab.titles).toHaveText(["Done"]);
}, { tasks: [{ title: "Soon", due_date: "2031-01-01" }, { title: "Done" }, { title: "Late", due_date: "2020-01-01" }] });

scenario("search finds words that are typed in part, and its end shows all again", async ({ tab }) => {
  await tab.search.fill("oat mi");
  await expect(tab.titles).toHaveText(["Milk the goat", "Buy oat milk"]);
  await tab.search.fill("nothing of this");
  await expect(tab.page.getByText("No task matches")).toBeVisible();
  await tab.page.reload();
  await expect(tab.search).toHaveValue("nothing of this");
  await tab.search.fill("");
  await expect(tab.titles).toHaveCount(3);
  await expect(tab.page).toHaveURL("/");
}, { tasks: [{ title: "Buy oat milk" }, { title: "Buy tea" }, { title: "Milk the goat", description: "Oat flakes" }] });

scenario("label shows its tasks, and a task that is added gets it", async ({ tab }) => {
  const label = tab.labels.getByRole("button", { name: "home" });
  await label.click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await expect(label).toHaveAttribute("aria-pressed", "true");
  await tab.add("Buy tea");
  await expect(tab.titles).toHaveText(["Buy tea", "Buy milk"]);
  await expect(label).toHaveText("home 2 open");
  await label.click();
  await expect(tab.titles).toHaveText(["Buy tea", "Write a letter", "Buy milk"]);
}, { tasks: [{ title: "Buy milk", labels: ["home"] }, { title: "Write a letter", labels: ["Work"] }] });

scenario("orders sort by title, due date and priority", async ({ tab }) => {
  const orders = {
    "By title": ["a", "b", "C"],
    "Due first": ["b", "a", "C"],
    "Most important first": ["C", "a", "b"],
    "Newest first": ["a", "C", "b"],
  };
  for (const [order, titles] of Object.entries(orders)) {
    await tab.order.selectOption(order);
    await expect(tab.titles).toHaveText(titles);
  }
}, {
  isVariant: true,
  tasks: [
    { title: "b", due_date: "2031-01-02", priority: "low" },
    { title: "C", priority: "urgent" },
    { title: "a", due_date: "2031-01-03", priority: "high" },
  ],
});
