// The published types hold what an application writes, and refuse what the client would; imported and required.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

test("types", () => {
  const required = here("../dist/typed.cts");
  copyFileSync(here("typed.mts"), required);
  try {
    const options =
      "--ignoreConfig --noEmit --strict --skipLibCheck --module nodenext --target es2022 --lib es2024,esnext.disposable --types node";
    const tsc = [here("../node_modules/typescript/bin/tsc"), ...options.split(" "), here("typed.mts"), required];
    const { status, stdout } = spawnSync(process.execPath, tsc, { encoding: "utf8", cwd: here("..") });
    assert.equal(status, 0, stdout);
  } finally {
    rmSync(required);
  }
});
