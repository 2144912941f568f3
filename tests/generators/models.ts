// Prints, as JSON, the names of the models in the given files, and each `any`, `unknown` and made-up name in them.
// A model is an exported type, or what an exported zod schema returns. Of a file with a namespace `Schemas`, only that is
// read: the rest is the client.
import ts from "typescript";

const program = ts.createProgram(process.argv.slice(2), {
  strict: true,
  module: ts.ModuleKind.Preserve,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  target: ts.ScriptTarget.ES2024,
});
const checker = program.getTypeChecker();
const models = new Set<string>();
const faults: string[] = [];
const seen = new Set<ts.Type>();

function visit(type: ts.Type, place: string): void {
  if (type.flags & (ts.TypeFlags.Any | ts.TypeFlags.Unknown)) {
    faults.push(`${place} is ${checker.typeToString(type)}`);
    return;
  }
  if (seen.has(type)) return;
  seen.add(type);
  if (type.isUnionOrIntersection()) return type.types.forEach((part) => visit(part, place));
  if (!(type.flags & ts.TypeFlags.Object)) return;
  if (checker.isArrayType(type) || checker.isTupleType(type)) {
    return checker.getTypeArguments(type as ts.TypeReference).forEach((item) => visit(item, `${place}[]`));
  }
  for (const { type: value } of checker.getIndexInfosOfType(type)) visit(value, `${place}[*]`);
  for (const member of checker.getPropertiesOfType(type)) {
    // openapi-typescript lets a response have any header, beside those of the contract.
    if (member.name === "headers" && place.startsWith("Response")) continue;
    visit(checker.getTypeOfSymbol(member), `${place}.${member.name}`);
  }
}

function model(name: string, type: ts.Type): void {
  models.add(name);
  // Generators number or mark a name that two components have. A name with three digits has a status.
  if (/(^|\D)\d{1,2}$|_/.test(name)) faults.push(`${name} is a made-up name`);
  visit(type, name);
}

function read(module: ts.Symbol): void {
  const exports = checker.getExportsOfModule(module);
  const schemas = exports.find((exported) => exported.name === "Schemas" && exported.flags & ts.SymbolFlags.Namespace);
  if (schemas) return read(schemas);
  for (const exported of exports) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
    if (symbol.flags & ts.SymbolFlags.Type) {
      // A name in lower case is of the generator, such as `paths`, not of a schema.
      if (/^[A-Z]/.test(symbol.name)) model(symbol.name, checker.getDeclaredTypeOfSymbol(symbol));
    } else if (symbol.flags & ts.SymbolFlags.Variable) {
      const output = checker.getTypeOfSymbol(symbol).getProperty("_output");
      if (output) model(symbol.name, checker.getTypeOfSymbol(output));
    }
  }
}

for (const file of program.getRootFileNames()) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file)!);
  if (!module) throw new Error(`${file} exports nothing`);
  read(module);
}
console.log(JSON.stringify({ models: [...models], faults }));
