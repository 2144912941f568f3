// A scenario: one user, tabs of a new context, and an end at which nothing was complained about.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { expect } from "playwright/test";
import { createTodoClient } from "../../generated/client/index.js";
import { launch } from "../browser/chromium.mjs";
import { Tab } from "./tab.mjs";

export { expect };
export const { PAGE_URL, API_URL } = process.env;
export const IS_WHOLE = process.env.SCENARIOS !== undefined;
export const PASSWORD = "correct horse battery";
export const MILK = { title: "Buy milk" };
/** A `prepare` that lets a scenario move the clock of the page. */
export const withClock = (context) => context.clock.install();

let browser;
before(async () => (browser = await launch()));
after(() => browser.close());

/**
 * Tests what `use` does with a context, an account in it, a client of the API for this account, and its first tab.
 *
 * `tasks`: the account has these, in their order from old to new. `isSignedOut`: there is no account yet. `prepare` is
 * called with the context before the tab is opened. `failures`: what the console says about requests that fail, such as
 * "503". Anything else in the console, a request to another origin, and a lost focus fail the scenario. `isVariant`: it
 * is much like another scenario, and runs with SCENARIOS only.
 */
export function scenario(name, use, { isVariant = false, ...setting } = {}) {
  const { tasks = [], isSignedOut = false, prepare, failures = [], ...options } = setting;
  test(name, { skip: isVariant && !IS_WHOLE }, async () => {
    const context = await browser.newContext({
      baseURL: PAGE_URL,
      locale: "en-GB",
      timezoneId: "Europe/Berlin",
      reducedMotion: "reduce",
      ...options,
    });
    const complaints = complaintsOf(context);
    try {
      const account = isSignedOut ? {} : await signUp(context);
      const ids = await create(account.todo, tasks);
      await prepare?.(context);
      const tab = await openTab(context);
      await use({ context, tab, ids, ...account });
      for (const page of context.pages()) complaints.push(...(await page.evaluate(() => window.lostFocus)));
      assert.deepEqual(complaints.filter((line) => !failures.some((failure) => isAbout(line, failure))), []);
      for (const failure of failures) assert.ok(complaints.some((line) => isAbout(line, failure)), `no ${failure}`);
    } catch (error) {
      for (const page of context.pages()) console.error(page.url(), (await page.locator("body").ariaSnapshot()).slice(0, 3000));
      console.error(complaints.join("\n"));
      throw error;
    } finally {
      await context.close();
    }
  });
}

/** Returns the ids of the tasks. */
async function create(todo, tasks) {
  const ids = [];
  for (let first = 0; first < tasks.length; first += 100) {
    const commands = tasks.slice(first, first + 100).map((task, index) => ({ type: "create", id: `t${index}`, task }));
    const { results } = await todo.runTaskBatch({ body: { commands } });
    ids.push(...results.map(({ task }) => task.id));
  }
  return ids;
}

const isAbout = (line, failure) => line.startsWith("Failed to load resource: ") && line.includes(failure);

function complaintsOf(context) {
  const complaints = [];
  context.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  context.on("weberror", (error) => complaints.push(String(error.error())));
  context.on("request", (request) => {
    const { origin } = new URL(request.url());
    if (origin !== PAGE_URL && origin !== API_URL) complaints.push(`request to ${request.url()}`);
  });
  return complaints;
}

export async function openTab(context) {
  const page = await context.newPage();
  await page.addInitScript(watchFocus);
  await page.goto("/");
  return new Tab(page);
}

/** Runs in the page: notes what had the focus when no element has it any more. */
function watchFocus() {
  window.lostFocus = [];
  let last = null;
  let isDue = false;
  function check() {
    isDue = false;
    const now = document.activeElement;
    if (now && now !== document.body) last = now.getAttribute("aria-label") || now.textContent || now.outerHTML;
    else if (last !== null) {
      window.lostFocus.push(`focus lost by: ${last}`);
      last = null;
    }
  }
  function checkSoon() {
    if (!isDue) requestAnimationFrame(() => requestAnimationFrame(check));
    isDue = true;
  }
  new MutationObserver(checkSoon).observe(document, { subtree: true, childList: true, attributes: true });
  document.addEventListener("focusin", checkSoon);
  document.addEventListener("focusout", checkSoon);
}

/** Creates an account, and signs the context in. */
export async function signUp(context, name = "Ada") {
  const email = `${randomUUID()}@example.com`;
  await sendAuth(context, "sign-up/email", { name, email, password: PASSWORD });
  return { email, todo: apiOf(context) };
}

export async function sendAuth(context, path, data = {}) {
  const answer = await context.request.post(`/api/auth/${path}`, { data, headers: { Origin: PAGE_URL } });
  assert.equal(answer.status(), 200, await answer.text());
}

/** The API outside of the page, as another device of the same user. */
function apiOf(context) {
  const getToken = async () => (await (await context.request.get("/api/auth/token")).json()).token;
  return createTodoClient({ baseUrl: API_URL, getToken });
}

export async function titlesOf(todo) {
  return (await Array.fromAsync(todo.allTasks({ sort: "title" }))).map(({ title }) => title);
}
