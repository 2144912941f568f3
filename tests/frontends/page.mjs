// Opens the page of client/README.md, and prints what it shows after each answer to its question for a token.
import { argument, onPage } from "../browser/chromium.mjs";

const { url, tokens } = argument();

await onPage("about:blank", async (page) => {
  const shown = [];
  page.on("pageerror", (error) => shown.push(error.message));
  for (const token of tokens) {
    page.once("dialog", (dialog) => (token === null ? dialog.dismiss() : dialog.accept(token)));
    await page.goto(url);
    await page.locator("br").waitFor({ state: "attached" });
    shown.push((await page.locator("body").innerText()).trim());
  }
  return shown;
});
