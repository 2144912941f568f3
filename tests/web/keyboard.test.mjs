import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { expect, MILK, PASSWORD, scenario, titlesOf } from "./scenario.mjs";

/** Presses Tab until an element has the focus, and requires that the focus is always visible. */
async function tabTo(page, target, key = "Tab") {
  const passed = [];
  for (let presses = 0; presses < 40; presses += 1) {
    await page.keyboard.press(key);
    const focus = await page.evaluate(focusOfPage);
    assert.ok(focus.isVisible, `no visible focus: ${focus.name}`);
    passed.push(focus.name);
    if (await target.evaluate((element) => element === document.activeElement)) return;
  }
  assert.fail(`not reached with ${key}: ${passed.join(", ")}`);
}

/** Runs in the page. */
function focusOfPage() {
  const element = document.activeElement;
  const { outlineStyle, outlineWidth } = getComputedStyle(element);
  const { top, bottom, width } = element.getBoundingClientRect();
  const isShown = width > 0 && bottom > 0 && top < innerHeight;
  const isOutlined = element.matches(":focus-visible") && outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
  // In a date, the button of the calendar can have the focus. The browser itself outlines it.
  const isCalendar = element.matches("[type=date]:not(:focus)");
  return {
    name: element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent,
    isVisible: isShown && (isOutlined || isCalendar),
  };
}

async function type(page, text) {
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type(text);
}

for (const [name, viewport] of [["desk", { width: 1280, height: 800 }], ["phone", { width: 390, height: 844 }]]) {
  scenario(`keyboard alone is enough from the sign-up to a completed task, on a ${name}`, async ({ tab }) => {
    const { page } = tab;
    await expect(tab.heading).toHaveText("Sign in");
    await tabTo(page, tab.button("Create an account"));
    await page.keyboard.press("Enter");
    await expect(tab.field("Name")).toBeFocused();
    await type(page, "Ada");
    await tabTo(page, tab.field("E-mail"));
    await type(page, `${randomUUID()}@example.com`);
    await tabTo(page, tab.field("Password"));
    await type(page, PASSWORD);
    await page.keyboard.press("Enter");
    await expect(tab.heading).toBeFocused();

    await tabTo(page, tab.newTask);
    await type(page, "Buy milk");
    await tabTo(page, tab.button("Details"));
    await page.keyboard.press("Enter");
    await tabTo(page, tab.field("Priority"));
    await page.keyboard.press("ArrowDown");
    await tabTo(page, tab.field("Labels"));
    await type(page, "home");
    await page.keyboard.press("Enter");
    await expect(tab.task("Buy milk")).toContainText(/High.*home/);
    await expect(tab.newTask).toBeFocused();

    await tabTo(page, tab.button("Edit Buy milk"));
    await page.keyboard.press("Enter");
    await expect(tab.editor("Buy milk").getByLabel("Title")).toBeFocused();
    await type(page, "Buy oat milk");
    await page.keyboard.press("Enter");
    await expect(tab.button("Edit Buy oat milk")).toBeFocused();
    await tabTo(page, tab.button("Delete Buy oat milk"));
    await page.keyboard.press("Enter");
    await page.keyboard.press("Control+z");
    await expect(tab.button("Edit Buy oat milk")).toBeFocused();
    await expect(tab.task("Buy oat milk")).toHaveAttribute("aria-busy", "false");

    await tabTo(page, tab.checkbox("Buy oat milk"), "Shift+Tab");
    await page.keyboard.press("Space");
    await expect(page.getByText("Nothing to do")).toBeVisible();
    await tabTo(page, tab.views.getByRole("button", { name: "Done" }), "Shift+Tab");
    await page.keyboard.press("Enter");
    await expect(tab.checkbox("Buy oat milk")).toBeChecked();
    await tabTo(page, tab.button("Sign out"), "Shift+Tab");
    await page.keyboard.press("Enter");
    await expect(tab.heading).toHaveText("Sign in");
  }, { isVariant: name === "phone", isSignedOut: true, viewport });
}

scenario("conflict is decided with the keyboard alone", async ({ tab, todo, ids: [id] }) => {
  const { page } = tab;
  await expect(tab.titles).toHaveText(["Buy milk"]);
  await tabTo(page, tab.button("Edit Buy milk"));
  await page.keyboard.press("Enter");
  await type(page, "Buy oat milk");
  await todo.patchTask({ task_id: id, body: { title: "Buy tea" } });
  await page.keyboard.press("Enter");
  await expect(tab.conflict.getByRole("radio", { name: "Yours Buy oat milk" })).toBeFocused();
  await page.keyboard.press("ArrowDown");
  await expect(tab.conflict.getByRole("radio", { name: "Theirs Buy tea" })).toBeChecked();
  await page.keyboard.press("ArrowUp");
  await tabTo(page, tab.conflict.getByRole("button", { name: "Keep these" }));
  await page.keyboard.press("Enter");
  await expect(tab.button("Edit Buy oat milk")).toBeFocused();
  expect(await titlesOf(todo)).toEqual(["Buy oat milk"]);
}, { isVariant: true, tasks: [MILK], failures: ["412"] });

scenario("each of several deleted tasks gives the focus to the next one", async ({ tab }) => {
  await tab.button("Delete b").press("Enter");
  await expect(tab.checkbox("c")).toBeFocused();
  await tab.button("Delete c").press("Enter");
  await expect(tab.checkbox("a")).toBeFocused();
  await tab.button("Delete a").press("Enter");
  await expect(tab.heading).toBeFocused();
  await expect(tab.page.getByText("Nothing to do")).toBeVisible();
}, { tasks: [{ title: "c" }, { title: "b" }, { title: "a" }] });
