// Reads a channel's recent messages over HTTP.

import { HistoryError } from "./feed.js";

const limit = 50;
const timeout = 10_000; // milliseconds; a server that says nothing is tried again

// Statuses that say "no history for you": the room then starts empty instead
// of failing. Rules may let somebody join who may not read the history (403).
const none = new Set([403, 404, 405, 501]);

/** The newest messages, oldest first, and the position of the last one. */
export async function readHistory(channel, token, get = fetch) {
  const answer = await ask(channel, limit, token, get);
  if (none.has(answer.status)) return { messages: [], position: null };
  if (!answer.ok) throw new HistoryError(answer.status);
  const { messages = [], epoch, offset } = await answer.json();
  return { messages: messages.reverse(), position: epoch ? { epoch, offset: offset ?? 0 } : null };
}

/** Whether the server refuses this reader: no token, or one without the right. */
export async function isRefused(channel, token, get = fetch) {
  const { status } = await ask(channel, 0, token, get);
  return status === 401 || status === 403;
}

async function ask(channel, count, token, get) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  try {
    return await get(`/history/${encodeURIComponent(channel)}?limit=${count}&reverse=true`, {
      headers, cache: "no-store", signal: AbortSignal.timeout(timeout),
    });
  } catch {
    throw new HistoryError(0);
  }
}
