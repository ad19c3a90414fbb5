// A proxy that lets nobody in without its cookie, as those for single sign-on,
// or without a password.

import { createServer, request } from "node:http";
import { connect } from "node:net";
import { freePort } from "./process.js";

const cookie = "sso=somebody";

/**
 * Starts a gate in front of a local port. /login gives its cookie; with a user
 * (username, password) it wants these instead, by HTTP Basic. It ends with the test.
 */
export async function startGate(t, target, user) {
  const port = await freePort();
  const basic = user && `Basic ${Buffer.from(`${user.username}:${user.password}`).toString("base64")}`;
  const known = ({ headers }) => (user ? headers.authorization === basic : (headers.cookie ?? "").split("; ").includes(cookie));
  const server = createServer((from, answer) => {
    if (from.url === "/login") {
      answer.writeHead(200, { "Content-Type": "text/html", "Set-Cookie": `${cookie}; Path=/; HttpOnly; Secure; SameSite=None` }).end("<title>in</title>");
      return;
    }
    if (from.method !== "OPTIONS" && !known(from)) { // preflights have no cookies
      answer.writeHead(401, user ? { "WWW-Authenticate": 'Basic realm="gate"' } : {}).end();
      return;
    }
    const behind = request({ host: "localhost", port: target, path: from.url, method: from.method, headers: from.headers }, (got) => {
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    behind.on("error", () => answer.destroy());
    answer.on("close", () => behind.destroy());
    from.pipe(behind);
  });
  const sockets = new Set();
  server.on("upgrade", (from, client, rest) => {
    if (!known(from)) return client.end("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
    const behind = connect(target, "localhost", () => {
      const head = from.rawHeaders.map((text, i) => text + (i % 2 ? "\r\n" : ": ")).join("");
      behind.write(`${from.method} ${from.url} HTTP/1.1\r\n${head}\r\n`);
      behind.write(rest);
      client.pipe(behind).pipe(client);
    });
    sockets.add(client).add(behind);
    for (const socket of [client, behind]) socket.on("error", () => {}).on("close", () => { client.destroy(); behind.destroy(); });
  });
  await new Promise((resolve) => server.listen(port, "localhost", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.closeAllConnections();
    server.close();
  });
  return `http://localhost:${port}`;
}
