const rules = new Intl.PluralRules("en");

/** "1 message", "2 messages". */
export const count = (n: number, one: string, other: string): string => `${n} ${rules.select(n) === "one" ? one : other}`;
