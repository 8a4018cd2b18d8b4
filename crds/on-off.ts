/** The words by which annotations and labels of the mesh switch something on or off. */

/** What such a value says. */
export type Meaning = 'unset' | 'on' | 'off' | 'unreadable';

export const WORDS = { on: ['enabled', 'yes', 'true'], off: ['disabled', 'no', 'false'] } as const;

export function meaningOf(value: string | undefined): Meaning {
  if (value === undefined) return 'unset';
  // ASCII only, like CEL's lowerAscii: a word is not made of letters that merely fold to it.
  const word = value.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (WORDS.on.some((one) => one === word)) return 'on';
  return WORDS.off.some((one) => one === word) ? 'off' : 'unreadable';
}
