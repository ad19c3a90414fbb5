// Tokens as a host application makes them.

import { createHmac } from "node:crypto";

export const secret = "a secret of the test that is long enough";

/** A connection token with these claims, valid for an hour unless they say otherwise. */
export function sign(claims) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const head = `${part({ alg: "HS256", typ: "JWT" })}.${part({ exp: Math.floor(Date.now() / 1000) + 3600, ...claims })}`;
  return `${head}.${createHmac("sha256", secret).update(head).digest("base64url")}`;
}
