/**
 * The difference between two pods, as the API server wants it: RFC 6902.
 *
 * A general difference of lists weighs every way to edit one into the other, which was the dearest part of a review.
 * Injection only puts elements into lists and changes some of those that were there, and both keep their names.
 */

export type Operation =
  | { readonly op: 'add'; readonly path: string; readonly value: unknown }
  | { readonly op: 'replace'; readonly path: string; readonly value: unknown }
  | { readonly op: 'remove'; readonly path: string };

/** Applying the operations to `before` gives `after`; none when both are equal. Keys whose value is undefined count as absent. */
export function patchOf(before: object, after: object): Operation[] {
  const operations: Operation[] = [];
  compare(before, after, '', operations);
  return operations;
}

function compare(before: unknown, after: unknown, path: string, operations: Operation[]): void {
  if (before === after) return;
  if (Array.isArray(before) && Array.isArray(after)) compareLists(before, after, path, operations);
  else if (isObject(before) && isObject(after)) compareObjects(before, after, path, operations);
  else operations.push({ op: 'replace', path, value: after });
}

type JsonObject = Readonly<Record<string, unknown>>;

function compareObjects(before: JsonObject, after: JsonObject, path: string, operations: Operation[]): void {
  for (const key of Object.keys(before)) {
    if (before[key] !== undefined && valueAt(after, key) === undefined) {
      operations.push({ op: 'remove', path: `${path}/${escape(key)}` });
    }
  }
  for (const key of Object.keys(after)) {
    const [old, value] = [valueAt(before, key), after[key]];
    if (value === undefined || old === value) continue;
    if (old === undefined) operations.push({ op: 'add', path: `${path}/${escape(key)}`, value });
    else compare(old, value, `${path}/${escape(key)}`, operations);
  }
}

/** Element by element where all of the old ones are still there, in their order, with new ones between; else as a whole. */
function compareLists(
  before: readonly unknown[],
  after: readonly unknown[],
  path: string,
  operations: Operation[],
): void {
  const changes: Operation[] = [];
  let next = 0;
  for (const [index, value] of after.entries()) {
    if (next < before.length && isSame(before[next], value)) {
      compare(before[next], value, `${path}/${index}`, changes);
      next++;
    } else {
      changes.push({ op: 'add', path: `${path}/${index}`, value });
    }
  }
  if (next === before.length) operations.push(...changes);
  else operations.push({ op: 'replace', path, value: after });
}

/** The same element, perhaps changed: containers, volumes and ports have names. What has none must be equal. */
function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (isObject(one) && isObject(other) && one['name'] !== undefined) return one['name'] === other['name'];
  const differences: Operation[] = [];
  compare(one, other, '', differences);
  return differences.length === 0;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Own keys only: a label may be called `constructor`. */
function valueAt(object: JsonObject, key: string): unknown {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}

function escape(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}
