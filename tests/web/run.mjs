// Runs all scenarios, or those of the files that are named (`run.mjs lists tasks`), with one browser.
import { readdirSync } from "node:fs";

const END = ".test.mjs";
const chosen = process.argv.slice(2);
for (const file of readdirSync(import.meta.dirname).sort()) {
  if (file.endsWith(END) && (!chosen.length || chosen.includes(file.slice(0, -END.length)))) await import(`./${file}`);
}
