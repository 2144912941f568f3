// The Chromium that tests/support/chromium.py has found.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const { CHROMIUM, CHROMIUM_LIBRARIES } = process.env;

export function launch() {
  const libraries = JSON.parse(CHROMIUM_LIBRARIES);
  // Without a sandbox, which root and most containers cannot have: the pages are those of the tests.
  return chromium.launch({
    executablePath: CHROMIUM,
    chromiumSandbox: false,
    env: { ...process.env, ...libraries },
  });
}

/** Opens a page, and prints what `use` returns as JSON. */
export async function onPage(url, use) {
  const browser = await launch();
  try {
    const page = await browser.newPage();
    await page.goto(url);
    console.log(JSON.stringify(await use(page)));
  } finally {
    await browser.close();
  }
}

export const argument = () => JSON.parse(readFileSync(0, "utf8"));
