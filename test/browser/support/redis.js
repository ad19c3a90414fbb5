// A redis-server of the test's own. Without the program the test fails.

import { freePort, run, start, tempDir, until } from "./process.js";

/** Starts an empty Redis that keeps nothing on disk; it ends with the test. */
export async function startRedis(t, { port } = {}) {
  port ??= await freePort();
  const dir = await tempDir(t);
  const server = start("redis-server", ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", dir].map(String));
  t.after(() => server.end());
  const cli = (...args) => run("redis-cli", ["-p", String(port), ...args]);
  await until("redis-server answers", async () => {
    if (server.ended) throw new Error(`redis-server ended: ${server.output}`);
    return (await cli("PING").catch(() => "")) === "PONG";
  });
  return { url: `redis://localhost:${port}`, port, cli };
}
