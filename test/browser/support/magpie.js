// Nodes of the real binary.

import { fileURLToPath } from "node:url";
import { freePort, start, until } from "./process.js";

const binary = process.env.MAGPIE_BIN ?? fileURLToPath(new URL("../../../bin/magpie", import.meta.url));

/**
 * Starts a node and waits until it is ready. It is killed when the test ends.
 * flags are those of `magpie serve`.
 */
export async function startMagpie(t, { redis, port, flags = [], env = {} } = {}) {
  port ??= await freePort();
  const args = ["serve", "--addr", `localhost:${port}`, ...(redis ? ["--redis", redis.url] : []), ...flags];
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MAGPIE_")));
  const node = start(binary, args, { env: { ...own, ...env } });
  t.after(() => node.end());
  const url = `http://localhost:${port}`;
  await until(`${binary} is ready`, () => {
    if (node.ended) throw new Error(`${binary} ended: ${node.output}`);
    return answers(`${url}/readyz`);
  });
  /** Publishes over HTTP and returns what the server answered. */
  const publish = async (payload, channel = "chat") => {
    const answer = await fetch(`${url}/publish/${channel}`, { method: "POST", body: payload, headers: { "Content-Type": "application/json" } });
    if (!answer.ok) throw new Error(`publish: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
  return {
    url,
    port,
    end: node.end,
    output: () => node.output,
    publish,
    /** Publishes n messages, NAME0, NAME1 …, one after the other so that their order is known; every three have one author. */
    async publishAll(name, n) {
      for (let i = 0; i < n; i++) await publish(JSON.stringify({ content: `${name}${i}`, name: `p${Math.floor(i / 3)}` }));
    },
  };
}

async function answers(url) {
  try {
    return (await fetch(url)).ok;
  } catch {
    return false;
  }
}
