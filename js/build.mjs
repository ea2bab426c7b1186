// Builds the one ES module of the widget. `--to DIR` writes elsewhere: a test compares that with what is committed.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({ options: { to: { type: "string", default: join(here, "../dagnb/widgets/bundle") } } });
const result = await build({
  entryPoints: [join(here, "dag.ts")],
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  banner: { js: "// Generated from js/ by `make js`. Do not edit." },
  write: false,
});
const code = result.outputFiles[0].text.replace(/\r\n/g, "\n");
await mkdir(values.to, { recursive: true });
await writeFile(join(values.to, "dag.js"), code);
console.log(`${join(values.to, "dag.js")}: ${(Buffer.byteLength(code) / 1000).toFixed(1)} kB`);
