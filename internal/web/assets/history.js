// Reads a channel's recent messages over HTTP.

import { HistoryError } from "./feed.js";

const limit = 50;

// Statuses that say "this channel keeps no history": the room then starts
// empty instead of failing.
const none = new Set([404, 405, 501]);

/** The newest messages, oldest first, and the position of the last one. */
export async function readHistory(channel, token, get = fetch) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    answer = await get(`/history/${encodeURIComponent(channel)}?limit=${limit}&reverse=true`, { headers, cache: "no-store" });
  } catch {
    throw new HistoryError(0);
  }
  if (none.has(answer.status)) return { messages: [], position: null };
  if (!answer.ok) throw new HistoryError(answer.status);
  const { messages = [], epoch, offset } = await answer.json();
  return { messages: messages.reverse(), position: epoch ? { epoch, offset: offset ?? 0 } : null };
}
