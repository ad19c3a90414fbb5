// A TCP proxy that can cut what goes through it, as a train does in a tunnel.

import { connect, createServer } from "node:net";

/** Starts a proxy to a local port; it ends with the test. */
export async function startProxy(t, target) {
  const pairs = new Set();
  let down = false;
  let deaf = false;
  let late = { path: "", milliseconds: 0 };
  let to = target;
  const server = createServer((client) => {
    if (down) return client.destroy();
    const upstream = connect(to, "localhost");
    const pair = { client, upstream };
    pairs.add(pair);
    const end = () => {
      pairs.delete(pair);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.on("error", end).on("close", end);
    client.on("data", (bytes) => {
      pair.socket ||= /^upgrade: websocket/im.test(bytes.toString("latin1"));
      if (deaf) return;
      if (late.path && bytes.toString("latin1").startsWith(`GET ${late.path}`)) setTimeout(() => upstream.write(bytes), late.milliseconds);
      else upstream.write(bytes);
    });
    upstream.on("data", (bytes) => { if (!pair.mute) client.write(bytes); });
  });
  await new Promise((resolve) => server.listen(0, "localhost", resolve));
  const cut = () => {
    for (const { client, upstream } of pairs) {
      client.destroy();
      upstream.destroy();
    }
  };
  t.after(() => {
    cut();
    server.close();
  });
  return {
    url: `http://localhost:${server.address().port}`,
    /** Cuts every connection and refuses new ones until restore(). */
    cut() {
      down = true;
      cut();
    },
    /** Swallows what the clients send, without a word to anyone. */
    swallow() { deaf = true; },
    /** Lets nothing more through to the WebSockets that are open now. */
    mute() {
      for (const pair of pairs) pair.mute = pair.socket;
    },
    /** Passes requests for paths that begin so on this much later. */
    delay(path, milliseconds) { late = { path, milliseconds }; },
    restore() { down = deaf = false; },
    /** Leads new connections to another port, as a balancer does. */
    lead(port) { to = port; },
  };
}
