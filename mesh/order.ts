/** Orders that make the result independent of the order of the input. */
import type { Meta } from './objects.ts';

/** By code unit, as every replica sorts alike whatever its locale. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Oldest first; of the same age, by namespace and name. In a conflict the first one wins. */
export function compareAge(a: Meta, b: Meta): number {
  return compareText(a.created, b.created) || compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

/** Sorted, each value once. */
export function sortedSet(values: Iterable<string>): string[] {
  return [...new Set(values)].sort(compareText);
}

export function sortedNumbers(values: Iterable<number>): number[] {
  return [...new Set(values)].sort((a, b) => a - b);
}
