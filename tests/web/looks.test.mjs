// The main states of the page on a phone and on a desk, light and dark: axe finds nothing, and nothing is wider than the
// screen. With SCENARIOS, there is a screenshot of each in reports/screenshots/web/.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { faults, LISTS, problem, TASKS } from "./faults.mjs";
import { expect, IS_WHOLE, scenario } from "./scenario.mjs";

const AXE = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");
const SCREENSHOTS = fileURLToPath(import.meta.resolve("../../reports/screenshots/web/"));
const [PHONE, DESK] = [{ width: 390, height: 844 }, { width: 1280, height: 800 }];
const ALL_LOOKS = [[PHONE, "light"], [DESK, "dark"], [PHONE, "dark"], [DESK, "light"]];
const LOOKS = IS_WHOLE ? ALL_LOOKS : ALL_LOOKS.slice(0, 2);

/** Requires that a state of the page can be used, in sizes and colour schemes. */
async function look({ page }, state) {
  await page.evaluate(AXE);
  for (const [viewport, colorScheme] of LOOKS) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    const name = `${state}-${viewport.width}-${colorScheme}`;
    if (IS_WHOLE) await page.screenshot({ path: `${SCREENSHOTS}${name}.png`, fullPage: true });
    assert.deepEqual(await page.evaluate(violations), [], name);
    assert.deepEqual(await page.evaluate(tooWide), [], name);
  }
}

/** Runs in the page. */
async function violations() {
  const { violations: found } = await window.axe.run(document, { resultTypes: ["violations"] });
  return found.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}\n${node.failureSummary}`));
}

/** Runs in the page. */
function tooWide() {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth) return [];
  const isBeyond = (element) => element.getBoundingClientRect().right > clientWidth;
  return [...document.body.querySelectorAll("*")].filter(isBeyond).map((element) => element.outerHTML.slice(0, 100));
}

const FULL = [
  { title: "Water the plants", priority: "low" },
  { title: "Call the landlord about the heating, which is cold again in the two rooms that face the yard", priority: "urgent" },
  { title: "Renew the passport", due_date: "2031-12-24", labels: ["papers"], description: "Two photos, and the old one.", priority: "high" },
  { title: "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft".repeat(2) },
  { title: "Buy milk", labels: ["home", "shopping"], due_date: "2020-01-02" },
];

scenario("sign-in and sign-up can be used by all", async ({ tab }) => {
  await expect(tab.heading).toHaveText("Sign in");
  await look(tab, "sign-in");
  await tab.button("Create an account").click();
  await look(tab, "sign-up");
}, { isSignedOut: true });

scenario("rejected sign-in can be used by all", async ({ tab }) => {
  await tab.fillIn({ "E-mail": "nobody@example.com", Password: "wrong horse" });
  await tab.button("Sign in").click();
  await expect(tab.alert).toBeVisible();
  await look(tab, "sign-in-rejected");
}, { isVariant: true, isSignedOut: true, failures: ["401"] });

scenario("empty list can be used by all", async ({ tab }) => {
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await look(tab, "empty");
}, { isVariant: true });

scenario("full list can be used by all", async ({ tab }) => {
  await expect(tab.titles).toHaveCount(FULL.length);
  await look(tab, "full");
  await tab.checkbox("Water the plants").click();
  await tab.button("Delete Buy milk").click();
  await tab.button("All").click();
  await expect(tab.checkbox("Water the plants")).toBeChecked();
  await look(tab, "all-after-deletion");
}, { tasks: FULL });

scenario("forms and their errors can be used by all", async ({ tab }) => {
  await expect(tab.titles).toHaveCount(FULL.length);
  await (await tab.edit("Renew the passport")).getByLabel("Title").fill("x".repeat(201));
  await tab.button("Save").click();
  await expect(tab.editor("Renew the passport").getByLabel("Title")).toHaveAttribute("aria-invalid", "true");
  await tab.button("Details").click();
  await look(tab, "edit");
}, { tasks: FULL, failures: ["422"] });

scenario("conflict can be used by all", async ({ tab, todo }) => {
  await expect(tab.titles).toHaveCount(FULL.length);
  const form = await tab.edit("Renew the passport");
  const [task] = (await todo.listTasks({ q: "passport" })).items;
  await todo.patchTask({ task_id: task.id, body: { title: "Renew the passport and the driving licence", due_date: "2031-11-30" } });
  await form.getByLabel("Title").fill("Renew both passports");
  await form.getByLabel("Due").fill("2031-12-01");
  await form.getByRole("button", { name: "Save" }).click();
  await expect(tab.conflict).toBeVisible();
  await look(tab, "conflict");
}, { tasks: FULL, failures: ["412"] });

scenario("page without a connection can be used by all", async ({ context, tab }) => {
  await expect(tab.titles).toHaveCount(FULL.length);
  await context.setOffline(true);
  await tab.add("Buy tea");
  await expect(tab.task("Buy tea")).toContainText("Waits for the connection");
  await look(tab, "offline");
}, { tasks: FULL });

scenario("messages of failures can be used by all", async ({ context, tab }) => {
  await expect(tab.titles).toHaveCount(FULL.length);
  await faults(context, "PATCH", /\/complete$/, problem(503, "database-unavailable", { "Retry-After": "31" }));
  await tab.checkbox("Buy milk").click();
  await expect(tab.button("Try again")).toBeVisible();
  await look(tab, "not-changed");
}, { isVariant: true, tasks: FULL, failures: ["503"] });

scenario("list that cannot be read can be used by all", async ({ tab }) => {
  await expect(tab.button("Try again")).toBeVisible();
  await look(tab, "too-many-requests");
}, {
  isVariant: true,
  failures: ["429"],
  prepare: (context) => faults(context, "GET", LISTS, ...Array(9).fill(problem(429, "too-many-requests", { "Retry-After": "60" }))),
});

scenario("sign-in after a session has ended can be used by all", async ({ context, tab }) => {
  await faults(context, "POST", TASKS, problem(401, "invalid-token"));
  await context.clearCookies();
  await tab.add("Buy milk");
  await expect(tab.signInAgain).toBeVisible();
  await look(tab, "sign-in-again");
}, { isVariant: true, failures: ["401"] });
