// Signs up in the app of tests/frontends/next, adds a task, and signs up as other users. Prints what the pages showed.
import { argument, onPage } from "../browser/chromium.mjs";

const { url } = argument();

await onPage(url, async (page) => {
  const errors = [];
  page.context().on("weberror", (error) => errors.push(error.error().message));
  page.context().on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const items = () => page.locator("li").allTextContents();
  const signUp = async (tab, email) => {
    await tab.getByLabel("E-mail").fill(email);
    await tab.getByRole("button", { name: "Sign up" }).click();
    await tab.getByText("0 tasks").waitFor();
  };
  const add = async (tab, title) => {
    await tab.getByLabel("Title").fill(title);
    await tab.getByRole("button", { name: "Add" }).click();
    await tab.getByText("1 tasks").waitFor();
  };

  await signUp(page, "ada@example.com");
  await add(page, "Buy milk");
  await page.reload();
  await page.getByText("1 tasks").waitFor();
  const client = await items();
  await page.goto(`${url}/server`);
  await page.locator("li").waitFor();
  const server = await items();

  await page.goto(url);
  await page.getByRole("button", { name: "Sign out" }).click();
  await signUp(page, "grace@example.com");
  const next = await items();

  // This tab learns of the third user when it is shown again, and has the token of the second one until then.
  const [other] = await Promise.all([page.waitForEvent("popup"), page.evaluate(() => void open("/"))]);
  await other.getByRole("button", { name: "Sign out" }).click();
  await signUp(other, "alan@example.com");
  await add(other, "Buy apples");
  await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
  await page.getByText("1 tasks").waitFor();
  return { client, server, next, otherTab: await items(), errors };
});
