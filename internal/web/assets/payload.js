// What a message says, whatever it is: the chat's {"content", "name"}, any
// other JSON, plain text or bytes. Pure; the result is text, never markup.

const longest = 4_000; // characters shown of one message

/**
 * Reads a message of the envelope or of the history into {author, claimed, id,
 * text, cut, bytes}. author is null when nobody is named; claimed tells that
 * the name is the publisher's own word, not the server's. bytes is the size of
 * a payload that is not text, else 0.
 */
export function read(message) {
  const { data, b64, info } = message;
  const fields = data !== null && typeof data === "object" && !Array.isArray(data) ? data : {};
  const content = typeof fields.content === "string" ? fields.content : null;
  const verified = text(info?.user);
  const whole = b64 !== undefined ? "" : content ?? (typeof data === "string" ? data : JSON.stringify(data) ?? "");
  return {
    author: verified ?? text(fields.name),
    claimed: verified === null,
    id: text(fields.id),
    text: whole.slice(0, longest),
    cut: Math.max(0, whole.length - longest),
    bytes: b64 === undefined ? 0 : sizeOfBase64(b64),
  };
}

const text = (value) => (typeof value === "string" && value.trim() !== "" ? value.slice(0, 80) : null);

function sizeOfBase64(s) {
  const padding = s.endsWith("==") ? 2 : s.endsWith("=") ? 1 : 0;
  return (s.length / 4) * 3 - padding;
}
