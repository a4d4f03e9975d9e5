// Builds dist/: esm/ for `import`, cjs/ for `require`, each with its types.
//   node build.mjs [--no-types]

import { execFileSync } from "node:child_process";
import { cpSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const dist = `${here}dist`;
rmSync(dist, { recursive: true, force: true });
const entryPoints = readdirSync(`${here}src`).map((name) => `src/${name}`);
for (const format of ["esm", "cjs"]) {
  await build({
    absWorkingDir: here,
    entryPoints,
    format,
    platform: "node",
    target: "node20",
    outdir: `dist/${format}`,
    sourcemap: false,
    logLevel: "warning",
  });
}
writeFileSync(`${dist}/cjs/package.json`, '{ "type": "commonjs" }\n');
if (!process.argv.includes("--no-types")) {
  execFileSync(process.execPath, [`${here}node_modules/typescript/bin/tsc`, "-p", here], { stdio: "inherit" });
  for (const name of readdirSync(`${dist}/types`)) {
    for (const format of ["esm", "cjs"]) cpSync(`${dist}/types/${name}`, `${dist}/${format}/${name}`);
  }
  rmSync(`${dist}/types`, { recursive: true });
}
