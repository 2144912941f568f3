// Lets Node import the TypeScript files of the generators, whose imports name no file ending.
import { statSync } from "node:fs";
import { registerHooks } from "node:module";

registerHooks({
  resolve(specifier, context, nextResolve) {
    if (!specifier.startsWith(".") || context.parentURL.includes("/node_modules/")) return nextResolve(specifier, context);
    const found = ["", ".ts", "/index.ts"]
      .map((ending) => new URL(specifier + ending, context.parentURL))
      .find((url) => statSync(url, { throwIfNoEntry: false })?.isFile());
    return nextResolve(found?.href ?? specifier, context);
  },
});
