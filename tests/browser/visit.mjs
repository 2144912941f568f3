// Visits pages of the service, each in a window of a width and in a color scheme, and prints what a person and a browser
// would find there. Each visit has a file for its screenshot.
import { readFileSync } from "node:fs";
import { argument, onPage } from "./chromium.mjs";

const AXE = readFileSync("node_modules/axe-core/axe.min.js", "utf8");
const { url, visits } = argument();

await onPage("about:blank", async (page) => {
  const found = [];
  let messages, requests;
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => messages.push(`error: ${error.message}`));
  page.on("request", (request) => requests.push(request.url()));
  for (const { path, width, scheme, screenshot, ready, isOwn } of visits) {
    [messages, requests] = [[], []];
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 900 });
    await page.goto(url + path);
    await page.waitForSelector(ready);
    if (!isOwn) await page.waitForLoadState("networkidle");
    const seen = await page.evaluate(() => ({
      lang: document.documentElement.lang,
      viewport: document.querySelector("meta[name=viewport]")?.content,
      title: document.title,
      overflow: document.documentElement.scrollWidth - innerWidth,
      background: getComputedStyle(document.documentElement).backgroundColor,
      text: getComputedStyle(document.querySelector("nav strong")).color,
    }));
    await page.screenshot({ path: screenshot, fullPage: isOwn });
    const elsewhere = requests.filter((each) => !each.startsWith(`${url}/`) && !/^(data|blob):/.test(each));
    // By the debugger, which the policy of the page does not bind.
    const axe = isOwn ? await page.evaluate(`${AXE}; axe.run()`) : { violations: [] };
    const violations = axe.violations.flatMap(({ id, nodes }) => nodes.map(({ target }) => `${id}: ${target}`));
    found.push({ path, width, scheme, ...seen, messages, elsewhere, violations });
  }
  return found;
});
