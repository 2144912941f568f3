// Signs up in the app of tests/frontends/next, adds a task, and signs up as another user. Prints what the pages showed.
import { argument, onPage } from "../browser/chromium.mjs";

const { url } = argument();

await onPage(url, async (page) => {
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  const items = () => page.locator("li").allTextContents();
  const signUp = async (email) => {
    await page.getByLabel("E-mail").fill(email);
    await page.getByRole("button", { name: "Sign up" }).click();
    await page.getByText("0 tasks").waitFor();
  };

  await signUp("ada@example.com");
  await page.getByLabel("Title").fill("Buy milk");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByText("1 tasks").waitFor();
  await page.reload();
  await page.getByText("1 tasks").waitFor();
  const client = await items();
  await page.goto(`${url}/server`);
  const server = await items();

  await page.goto(url);
  await page.getByRole("button", { name: "Sign out" }).click();
  await signUp("grace@example.com");
  return { client, server, next: await items(), errors };
});
