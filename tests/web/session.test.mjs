import { randomUUID } from "node:crypto";
import { faults, problem, TASKS } from "./faults.mjs";
import { expect, MILK, openTab, PASSWORD, scenario, sendAuth, signUp, titlesOf, withClock } from "./scenario.mjs";

scenario("new user signs up, signs out and signs in", async ({ tab }) => {
  const account = { "E-mail": `${randomUUID()}@example.com`, Password: PASSWORD };
  await tab.button("Create an account").click();
  await tab.fillIn({ Name: "Ada", ...account });
  await tab.button("Create account").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect(tab.page.getByText("Ada", { exact: true })).toBeVisible();
  await tab.button("Sign out").click();
  await tab.fillIn(account);
  await tab.button("Sign in").click();
  await expect(tab.heading).toHaveText("Open");
}, { isSignedOut: true });

scenario("wrong password is said at the form", async ({ tab, email }) => {
  await tab.button("Sign out").click();
  await tab.fillIn({ "E-mail": email, Password: "wrong horse" });
  await tab.button("Sign in").click();
  await expect(tab.alert).toHaveText("Invalid email or password");
  await expect(tab.field("E-mail")).toHaveValue(email);
  await tab.fillIn({ Password: PASSWORD });
  await tab.button("Sign in").click();
  await expect(tab.heading).toHaveText("Open");
}, { failures: ["401"] });

scenario("address that is in use is said at the form", async ({ tab, email }) => {
  await tab.button("Sign out").click();
  await tab.button("Create an account").click();
  await tab.fillIn({ Name: "Eve", "E-mail": email, Password: PASSWORD });
  await tab.button("Create account").click();
  await expect(tab.alert).toContainText("User already exists.");
}, { isVariant: true, failures: ["422"] });

scenario("another user in the same tab sees nothing of the first one", async ({ tab }) => {
  await tab.labels.getByRole("button", { name: "secret" }).click();
  await tab.newTask.fill("Book a table");
  await tab.button("Sign out").click();
  await tab.button("Create an account").click();
  await tab.fillIn({ Name: "Eve", "E-mail": `${randomUUID()}@example.com`, Password: PASSWORD });
  await tab.button("Create account").click();
  await expect(tab.page.getByText("Eve", { exact: true })).toBeVisible();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect(tab.page.locator("body")).not.toContainText(/ring|secret/);
  await expect(tab.newTask).toHaveValue("");
  await expect(tab.page).toHaveURL("/");
  await expect(tab.page).not.toHaveTitle(/secret/);
}, { tasks: [{ title: "Buy a ring", labels: ["secret"] }] });

scenario("another user who signs in elsewhere in this browser sees nothing of the first one", async ({ context, tab }) => {
  await expect(tab.titles).toHaveText(["Buy a ring"]);
  await tab.newTask.fill("Book a table");
  await signUp(context, "Eve");
  await tab.page.clock.fastForward("20:00");
  await expect(tab.page.getByText("Eve", { exact: true })).toBeVisible();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect(tab.newTask).toHaveValue("");
}, { tasks: [{ title: "Buy a ring" }], prepare: withClock });

scenario("other tabs follow a sign-out and a sign-in of another user", async ({ context, tab }) => {
  const other = await openTab(context);
  await expect(other.titles).toHaveText(["Buy a ring"]);
  await tab.button("Sign out").click();
  await expect(other.heading).toHaveText("Sign in");
  await expect(other.page.getByText("Buy a ring")).toBeHidden();
  const { email } = await signUp(context, "Eve");
  await tab.fillIn({ "E-mail": email, Password: PASSWORD });
  await tab.button("Sign in").click();
  await expect(other.page.getByText("Nothing to do")).toBeVisible();
}, { isVariant: true, tasks: [{ title: "Buy a ring" }] });

scenario("action after the token has expired needs no sign-in", async ({ context, tab }) => {
  const renewals = [];
  context.on("request", (request) => request.url().endsWith("/api/auth/get-session") && renewals.push(request));
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await tab.page.clock.fastForward("05:00");
  await tab.add("Buy milk");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(renewals.length).toBe(0);
  await tab.page.clock.fastForward("15:00");
  await tab.add("Buy tea");
  await expect(tab.titles).toHaveText(["Buy tea", "Buy milk"]);
  expect(renewals.length).toBe(1);
}, { prepare: withClock });

scenario("action whose token the service rejects is sent with another one", async ({ context, tab, todo }) => {
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  const requests = await faults(context, "POST", TASKS, problem(401, "invalid-token"));
  await tab.add("Buy milk");
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(requests.length).toBe(2);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { isVariant: true, failures: ["401"] });

scenario("session that ends on the server asks to sign in again, and keeps what is typed", async ({ context, tab }) => {
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await tab.newTask.fill("Buy milk");
  await sendAuth(context, "revoke-sessions");
  await tab.page.clock.fastForward("20:00"); // then the page asks for changes
  await expect(tab.signInAgain.getByLabel("Password")).toBeFocused();
  await tab.page.keyboard.press("Escape");
  await tab.signInAgain.getByLabel("Password").fill(PASSWORD);
  await tab.signInAgain.getByRole("button", { name: "Sign in" }).click();
  await expect(tab.signInAgain).toBeHidden();
  await expect(tab.newTask).toHaveValue("Buy milk");
  await tab.newTask.press("Enter");
  await expect(tab.titles).toHaveText(["Buy milk"]);
}, { prepare: withClock });

scenario("action after the session has ended is made after the sign-in", async ({ context, tab, todo }) => {
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await sendAuth(context, "revoke-sessions");
  await faults(context, "POST", TASKS, problem(401, "invalid-token"));
  await tab.add("Buy milk");
  await tab.signInAgain.getByLabel("Password").fill(PASSWORD);
  await tab.signInAgain.getByRole("button", { name: "Sign in" }).click();
  await expect(tab.titles).toHaveText(["Buy milk"]);
  expect(await titlesOf(todo)).toEqual(["Buy milk"]);
}, { isVariant: true, failures: ["401"] });

scenario("session that has ended can be left for another account", async ({ context, tab }) => {
  await tab.newTask.fill("Buy a ring");
  await sendAuth(context, "revoke-sessions");
  await faults(context, "POST", TASKS, problem(401, "invalid-token"));
  await tab.newTask.press("Enter");
  await tab.button("Use another account").click();
  await expect(tab.heading).toHaveText("Sign in");
  const { email } = await signUp(context, "Eve");
  await tab.fillIn({ "E-mail": email, Password: PASSWORD });
  await tab.button("Sign in").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
  await expect(tab.page.locator("body")).not.toContainText("ring");
}, { isVariant: true, failures: ["401"] });

scenario("page says that its own server does not answer, and goes on when it does", async ({ context, tab }) => {
  await expect(tab.heading).toHaveText("No connection");
  await context.unrouteAll();
  await tab.button("Try again").click();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
}, {
  isVariant: true,
  failures: ["ERR_FAILED"],
  prepare: (context) => context.route("**/api/auth/get-session", (route) => route.abort()),
});

scenario("sign-out without a connection leaves the user signed in", async ({ context, tab }) => {
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await context.setOffline(true);
  await tab.button("Sign out").click();
  await expect(tab.messages).toContainText("You are still signed in, because there is no connection.");
  await expect(tab.titles).toHaveText(["Buy milk"]);
}, { isVariant: true, tasks: [MILK], failures: ["ERR_INTERNET_DISCONNECTED"] });
