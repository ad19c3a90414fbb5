// What edits, deletions and reactions do to a message. The server stamps who
// asks for them; a payload cannot claim it.

import { type Author, type Change, type Message, type Reaction, personOf } from "./message.ts";

const maxReactions = 20; // emoji on one message
const maxUsers = 500; // of one reaction

export function applyChanges(message: Message, changes: readonly Change[] | undefined): Message {
  return changes ? changes.reduce(applyChange, message) : message;
}

export function applyChange(message: Message, change: Change): Message {
  if (message.deleted) return message;
  if (change.type === "reaction") return react(message, change);
  if (!mayChange(message.author, change.by)) return message;
  if (change.type === "delete") return { ...message, deleted: true, text: "", reactions: [] };
  return { ...message, text: change.content, edited: true };
}

/** Whether by may edit or delete what author published. Who is not stamped may not. */
export function mayChange(author: Author, by: Author): boolean {
  if (!by.stamped) return false;
  return by.moderator || (author.stamped && by.user !== "" && by.user === author.user);
}

function react(message: Message, { emoji, on, by }: Change): Message {
  const person = personOf(by);
  const at = message.reactions.findIndex((r) => r.emoji === emoji);
  const known = message.reactions[at];
  if (!known) {
    if (!on || message.reactions.length >= maxReactions) return message;
    return { ...message, reactions: [...message.reactions, { emoji, users: [person] }] };
  }
  const without = known.users.filter((u) => u !== person);
  const users = on && without.length < maxUsers ? [...without, person] : without;
  const reactions: Reaction[] = users.length === 0
    ? message.reactions.filter((r) => r !== known)
    : message.reactions.map((r) => (r === known ? { emoji, users } : r));
  return { ...message, reactions };
}
