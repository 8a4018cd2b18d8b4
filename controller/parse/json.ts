/** Narrowing of raw JSON. Objects of built-in kinds come from the API server, which has validated them: what is absent
 * gets the value that the API documents for absence. */

export type Json = Readonly<Record<string, unknown>>;

const EMPTY: Json = {};

export function record(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : EMPTY;
}

export function records(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(record) : [];
}

export function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

export function number(value: unknown): number {
  return typeof value === 'number' ? value : 0;
}

export function stringMap(value: unknown): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(record(value)).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}
