// Walks through pages with the keyboard and by links, and changes the color scheme of the system. Prints what happened.
import { argument, onPage } from "./chromium.mjs";

const { url, paths } = argument();

const focused = () => {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  return { href: element.getAttribute("href"), outline: outlineStyle === "none" ? 0 : parseFloat(outlineWidth) };
};

await onPage(`${url}/`, async (page) => {
  const messages = [];
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => messages.push(`error: ${error.message}`));

  const keyboard = {};
  for (const path of paths) {
    await page.goto(url + path);
    const links = await page.locator("a[href]").evaluateAll((each) => each.map((link) => link.getAttribute("href")));
    const reached = [];
    // Each focus is a link, or a text that scrolls.
    const steps = links.length + (await page.locator("pre[tabindex]").count());
    for (let step = 0; step < steps; step++) {
      await page.keyboard.press("Tab");
      reached.push(await page.evaluate(focused));
    }
    keyboard[path] = { links, reached };
  }

  // From a problem to one of its operations, which opens.
  await page.goto(`${url}/problems/task-changed`);
  await page.getByRole("link", { name: "patchTask" }).click();
  await page.locator("#operations-tasks-patchTask.is-open").waitFor();
  const opened = page.url();

  const backgrounds = [];
  for (const colorScheme of ["light", "dark", "light"]) {
    await page.emulateMedia({ colorScheme });
    await page.locator("html.dark-mode").waitFor({ state: colorScheme === "dark" ? "attached" : "detached" });
    backgrounds.push(await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor));
  }
  await page.getByRole("link", { name: "Home" }).click();
  await page.waitForURL(`${url}/`);

  // What Redoc adds to the page later.
  await page.goto(`${url}/redoc`);
  await page.getByPlaceholder("Search...").fill("batch");
  await page.locator("[data-role='search:results'] li").first().click();
  await page.locator("[role=menuitem].active, label.active").first().waitFor();
  return { keyboard, opened, backgrounds, messages };
});
