// How a name is written where only text can be: in sentences, notifications and
// what screen readers are told.

import { t } from "../i18n/index.ts";
import { type Author, isGuestName } from "../state/message.ts";

/** The name, and beside it that it is a guest's: anyone may have chosen a known one. */
export const labelOf = (author: Author, name: string): string =>
  isGuestName(author) ? t("author.guest.named", name) : name;
