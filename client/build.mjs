// Builds the client package: node client/build.mjs FOLDER
// ./codegen.sh calls it with a folder that has typescript/schema.d.ts, input/operations.ts and input/types.yaml. It gets
// client/, the files of the package, and client.tgz, which npm installs.
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "fflate";

const folder = process.argv[2];
const build = join(folder, "input/client");
const client = join(folder, "client");
const fetchPackage = "node_modules/openapi-fetch";

mkdirSync(build);
for (const name of readdirSync("client")) cpSync(join("client", name), join(build, name));
cpSync(join(folder, "typescript/schema.d.ts"), join(build, "schema.d.ts"));
cpSync(join(folder, "input/operations.ts"), join(build, "operations.ts"));
const tsc = ["node_modules/typescript/bin/tsc", "--project", build, "--outDir", client];
const { status } = spawnSync(process.execPath, tsc, { stdio: ["ignore", 2, 2] });
if (status !== 0) process.exit(1);

// The package has openapi-fetch in it, so that npm needs no registry.
const calls = readFileSync(join(client, "calls.js"), "utf8");
writeFileSync(join(client, "calls.js"), calls.replace('from "openapi-fetch"', 'from "./openapi-fetch.js"'));
const source = readFileSync(join(fetchPackage, "dist/index.mjs"), "utf8");
writeFileSync(join(client, "openapi-fetch.js"), source.replace(/\n\/\/# sourceMappingURL=.*\n?$/, "\n"));
cpSync(join(fetchPackage, "LICENSE"), join(client, "openapi-fetch.LICENSE"));
cpSync(join(folder, "typescript/schema.d.ts"), join(client, "schema.d.ts"));
cpSync("LICENSE", join(client, "LICENSE"));
cpSync("client/README.md", join(client, "README.md"));
const { info } = JSON.parse(readFileSync(join(folder, "input/types.yaml"), "utf8"));
const manifest = { ...JSON.parse(readFileSync("client/package.json", "utf8")), version: info.version };
writeFileSync(join(client, "package.json"), `${JSON.stringify(manifest, null, 2)}\n`);

// The same files are always the same bytes, because npm's lock files have a digest of them. zlib compresses differently
// on other processors and in other versions, so JavaScript does it.
const names = readdirSync(client).sort();
const members = names.map((name) => member(`package/${name}`, readFileSync(join(client, name))));
const archive = Buffer.concat([...members, Buffer.alloc(1024)]);
writeFileSync(join(folder, "client.tgz"), gzipSync(archive, { level: 9, mtime: 0 }));

// A file of a tar archive: its header in the ustar format, and its content, both filled up to blocks of 512 bytes.
function member(name, content) {
  const header = Buffer.alloc(512);
  // Name, mode, user, group, size, time, sum (spaces while it is computed), type, format, version.
  const fields = [[0, name], [100, "0000644"], [108, "0000000"], [116, "0000000"], [124, octal(content.length)],
    [136, octal(0)], [148, " ".repeat(8)], [156, "0"], [257, "ustar"], [263, "00"]];
  for (const [offset, text] of fields) header.write(text, offset, "ascii");
  const sum = header.reduce((total, each) => total + each, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "ascii");
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512)]);
}

function octal(number) {
  return number.toString(8).padStart(11, "0");
}
