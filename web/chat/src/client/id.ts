/**
 * A name that nobody else has: 122 random bits. `crypto.randomUUID` would do,
 * but browsers have it only on https and localhost, and people do try a chat
 * over plain http on their own network.
 */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
