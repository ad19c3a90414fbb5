// Names of rooms and their channels. The lobby is the channel "chat", as on the
// classic page; the room NAME is the channel chat:NAME.

export const lobby = "lobby";

const validName = /^[\p{L}\p{N}][\p{L}\p{N}\p{M}._-]{0,79}$/u;

/** The room's name in its one form, or null when it is not valid. */
export function roomName(typed: string): string | null {
  const name = typed.trim().replace(/^#/, "").normalize("NFC").toLowerCase().replace(/\s+/g, "-");
  return validName.test(name) && new TextEncoder().encode(name).length <= 200 ? name : null;
}

export const channelOf = (room: string): string => (room === lobby ? "chat" : `chat:${room}`);
export const typingChannelOf = (room: string): string => `typing:${room}`;

/** The address of a room in this app. */
export const pathOf = (room: string): string => `/r/${encodeURIComponent(room)}`;

/** The room that an address names; the lobby for any other. */
export function roomAt(path: string): string {
  if (!path.startsWith("/r/")) return lobby;
  try {
    return roomName(decodeURIComponent(path.slice(3))) ?? lobby;
  } catch {
    return lobby;
  }
}
