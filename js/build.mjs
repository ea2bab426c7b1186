// Builds the ES modules of the widget and of the metrics pane. `--to DIR` writes elsewhere: a test compares those with what is committed.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const { values } = parseArgs({ options: { to: { type: "string", default: join(here, "../dagnb/widgets/bundle") } } });
const names = ["dag", "metrics"];
const result = await build({
  entryPoints: names.map((name) => join(here, `${name}.ts`)),
  outdir: values.to,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8",
  legalComments: "none",
  banner: { js: "// Generated from js/ by `make js`. Do not edit." },
  write: false,
});
await mkdir(values.to, { recursive: true });
for (const [i, name] of names.entries()) {
  const code = result.outputFiles[i].text.replace(/\r\n/g, "\n");
  await writeFile(join(values.to, `${name}.js`), code);
  console.log(`${join(values.to, `${name}.js`)}: ${(Buffer.byteLength(code) / 1000).toFixed(1)} kB`);
}
