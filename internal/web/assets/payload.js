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
  const fields = own(data);
  const verified = text(info?.user);
  const whole = b64 !== undefined ? "" : fields?.content ?? (typeof data === "string" ? data : JSON.stringify(data) ?? "");
  return {
    author: verified ?? fields?.name ?? null,
    claimed: verified === null,
    id: fields?.id ?? null,
    text: whole.slice(0, longest),
    cut: Math.max(0, whole.length - longest),
    bytes: b64 === undefined ? 0 : sizeOfBase64(b64),
  };
}

// Own properties only: a payload's "__proto__" is nobody's name.
function own(data) {
  if (data === null || typeof data !== "object" || Array.isArray(data)) return null;
  const field = (name) => (Object.hasOwn(data, name) ? text(data[name]) : null);
  const content = Object.hasOwn(data, "content") && typeof data.content === "string" ? data.content : null;
  return { content, name: field("name"), id: field("id") };
}

const text = (value) => (typeof value === "string" && value.trim() !== "" ? value.slice(0, 80) : null);

function sizeOfBase64(s) {
  const padding = s.endsWith("==") ? 2 : s.endsWith("=") ? 1 : 0;
  return (s.length / 4) * 3 - padding;
}
