// Pages on two sites: a name below localhost is a site of its own for a
// browser, another one than localhost, and secure without a certificate.

import { createServer } from "node:http";
import { writeFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { freePort } from "./process.js";

/** A page of another site than Magpie's, with a policy of its own. Set page.html before it is opened. */
export async function foreign(t, host = "localhost") {
  const port = await freePort();
  const page = { html: "" };
  const server = createServer((_, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end(page.html));
  await new Promise((resolve) => server.listen(port, "localhost", resolve));
  t.after(() => new Promise((resolve) => { server.closeAllConnections(); server.close(resolve); }));
  return { url: `http://${host}:${port}`, page };
}

/** The element that embeds Magpie, in a page around it. */
export const embedded = (url, attributes) => `<!doctype html><title>shop</title><h1>A shop</h1><script src="${url}/embed.js" ${attributes} defer></script>`;

/** Writes Chromium's preferences into a profile that it has not used yet. */
export async function prefer(profile, preferences) {
  await mkdir(join(profile, "Default"), { recursive: true });
  await writeFile(join(profile, "Default", "Preferences"), JSON.stringify(preferences));
}
