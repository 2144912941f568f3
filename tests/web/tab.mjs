// The page in one tab, as a person sees it: by roles and names.
export class Tab {
  constructor(page) {
    this.page = page;
    this.heading = page.getByRole("heading", { level: 1 });
    this.views = page.getByRole("navigation", { name: "Views" });
    this.labels = page.getByRole("navigation", { name: "Labels" });
    this.search = page.getByRole("searchbox", { name: "Search tasks" });
    this.order = page.getByRole("combobox", { name: "Order" });
    this.newTask = page.getByRole("textbox", { name: "New task" });
    this.tasks = page.getByRole("list", { name: "Tasks" });
    this.titles = this.tasks.getByRole("button", { name: /^Edit / });
    this.messages = page.getByRole("status");
    this.alert = page.getByRole("alert").filter({ hasText: /\S/ });
    this.conflict = page.getByRole("dialog", { name: "Changed in the meantime" });
    this.signInAgain = page.getByRole("dialog", { name: "Sign in again" });
  }

  button(name) {
    return this.page.getByRole("button", { name, exact: true });
  }

  field(name) {
    return this.page.getByLabel(name);
  }

  task(title) {
    return this.tasks.getByRole("listitem").filter({ has: this.page.getByRole("button", { name: `Edit ${title}`, exact: true }) });
  }

  checkbox(title) {
    return this.tasks.getByRole("checkbox", { name: title, exact: true });
  }

  /** The form in the place of a task. */
  editor(title) {
    return this.page.getByRole("form", { name: `Edit ${title}` });
  }

  async edit(title) {
    await this.button(`Edit ${title}`).click();
    return this.editor(title);
  }

  async add(title) {
    await this.newTask.fill(title);
    await this.newTask.press("Enter");
  }

  /** Types a name, an address and a password into the form for these. */
  async fillIn(fields) {
    for (const [name, text] of Object.entries(fields)) await this.page.getByRole("textbox", { name, exact: true }).fill(text);
  }
}
