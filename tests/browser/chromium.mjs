// Opens a page in the Chromium that tests/support/chromium.py has found, and prints what `use` returns as JSON.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { CHROMIUM, CHROMIUM_LIBRARIES } = process.env;

export async function onPage(url, use) {
  const libraries = JSON.parse(CHROMIUM_LIBRARIES);
  // Without a sandbox, which root and most containers cannot have: the pages are those of the tests.
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    chromiumSandbox: false,
    env: { ...process.env, ...libraries },
  });
  try {
    const page = await browser.newPage();
    await page.goto(url);
    console.log(JSON.stringify(await use(page)));
  } finally {
    await browser.close();
  }
}

export const argument = () => JSON.parse(readFileSync(0, "utf8"));
