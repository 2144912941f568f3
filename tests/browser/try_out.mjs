// Signs in on /docs with a token, reloads the page, and sends the request of an operation with changed parameters and
// all others as they are filled in. Prints what was filled in and what came back.
import { argument, onPage } from "./chromium.mjs";

const { url, token, operation, parameters, screenshots } = argument();

await onPage(`${url}/docs`, async (page) => {
  const messages = [];
  page.on("console", (message) => messages.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => messages.push(`error: ${error.message}`));
  await page.emulateMedia({ colorScheme: "dark" });
  await page.locator(".btn.authorize").click();
  await page.locator(".auth-container input").fill(token);
  // Not by a click, so that the form is submitted.
  await page.keyboard.press("Enter");
  await page.locator(".btn-done").click();
  await page.reload();

  const block = page.locator(`[id^=operations-][id$=-${operation}]`);
  await block.locator(".opblock-summary-control").click();
  await block.locator(".execute").waitFor();
  const rows = block.locator("tr[data-param-name]");
  const filled = await rows.evaluateAll((each) =>
    each.map((row) => [row.dataset.paramName, row.querySelector("input, select, textarea")?.value ?? ""]),
  );
  const body = block.locator(".opblock-section-request-body textarea");
  const filledBody = (await body.count()) ? await body.inputValue() : null;
  for (const [name, value] of Object.entries(parameters)) {
    await block.locator(`tr[data-param-name="${name}"] input`).fill(value);
  }
  const answer = page.waitForResponse((response) => response.url().includes("/api/"));
  await block.locator(".execute").click();
  const response = await answer;
  await block.locator(".live-responses-table .response-col_status").nth(1).waitFor();
  for (const [name, width] of screenshots) {
    await page.setViewportSize({ width, height: 900 });
    await block.evaluate((element) => element.scrollIntoView());
    await page.screenshot({ path: name });
  }
  return { filled, filledBody, status: response.status(), answer: await response.json(), messages };
});
