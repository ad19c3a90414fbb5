import type { Author } from "../state/message.ts";
import { colorOf } from "../state/message.ts";

const firstOf = (name: string): string => {
  const Segmenter = Intl.Segmenter as typeof Intl.Segmenter | undefined;
  const first = Segmenter ? [...new Segmenter().segment(name.trim().slice(0, 20))][0]?.segment : [...name.trim()][0];
  return (first ?? "?").toUpperCase();
};

/** The first letter of a person's name on their colour. Screen readers read the name beside it instead. */
export function Avatar({ author, name, small = false }: { author: Author; name: string; small?: boolean }) {
  const tone = author.stamped ? author.color : colorOf(name);
  return <span class={`avatar${small ? " small" : ""}${author.stamped ? "" : " program"}`} data-tone={tone} aria-hidden="true">{firstOf(name)}</span>;
}
