// Builds the app into internal/web/app/dist, from where `go build` embeds it:
// app.js, app.css, embed.js, sw.js, each also compressed. The server puts a
// hash of all of them into their address.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const out = at("../../internal/web/app/dist/");
const maxScript = 80 * 1024; // bytes, compressed, that a first visit may load

await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const shared = { bundle: true, minify: true, target: ["es2022", "chrome120", "firefox121", "safari17.5"], charset: "utf8", legalComments: "none", logLevel: "warning" };
await build({ ...shared, entryPoints: { app: at("src/main.tsx") }, outdir: out, format: "esm", jsx: "automatic", jsxImportSource: "preact" });
await build({ ...shared, entryPoints: { app: at("src/style/index.css") }, outdir: out });
await build({ ...shared, entryPoints: { embed: at("src/embed/embed.ts"), sw: at("src/sw.ts") }, outdir: out, format: "iife" });

for (const name of ["app.js", "app.css", "embed.js", "sw.js"]) {
  const body = await readFile(out + name);
  const gzip = gzipSync(body, { level: 9 });
  await writeFile(`${out}${name}.gz`, gzip);
  await writeFile(`${out}${name}.br`, brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: body.length } }));
  console.log(`${name.padEnd(9)} ${body.length} bytes, ${gzip.length} compressed`);
  if (name === "app.js" && gzip.length > maxScript) throw new Error(`app.js has ${gzip.length} bytes compressed; the limit is ${maxScript}`);
}
