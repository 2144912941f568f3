// Runs the scenarios with one browser. SCENARIOS chooses files, and runs their variants too: `lists,tasks`, or `all`.
import { readdirSync } from "node:fs";

const END = ".test.mjs";
const { SCENARIOS = "all" } = process.env;
for (const file of readdirSync(import.meta.dirname).sort()) {
  if (!file.endsWith(END)) continue;
  if (SCENARIOS === "all" || SCENARIOS.split(",").includes(file.slice(0, -END.length))) await import(`./${file}`);
}
