// Opens the page of client/README.md, answers its question for a token, and prints what it shows.
import { argument, onPage } from "../browser/chromium.mjs";

const { url, token } = argument();

await onPage("about:blank", async (page) => {
  const errors = [];
  page.on("pageerror", (error) => errors.push(error.message));
  page.on("dialog", (dialog) => dialog.accept(token));
  await page.goto(url);
  await page.locator("li").waitFor();
  return { items: await page.locator("li").allTextContents(), errors };
});
