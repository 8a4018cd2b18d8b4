/** metav1 conditions, as data. */

export interface Condition {
  readonly type: string;
  readonly status: 'True' | 'False' | 'Unknown';
  /** CamelCase, stable. */
  readonly reason: string;
  /** A sentence. */
  readonly message: string;
  readonly observedGeneration: number;
  /** RFC 3339: when `status` last became what it is. */
  readonly lastTransitionTime: string;
}

/**
 * `wanted` as the new list of conditions, sorted by type. A condition whose status did not change keeps its
 * `lastTransitionTime`; others get `now` (milliseconds since 1970). What is not wanted any more is left out.
 */
export function mergeConditions(
  before: readonly Condition[],
  wanted: readonly Omit<Condition, 'lastTransitionTime'>[],
  now: number,
): Condition[] {
  const known = new Map(before.map((condition) => [condition.type, condition]));
  return wanted
    .map((condition) => {
      const previous = known.get(condition.type);
      const kept = previous?.status === condition.status ? previous.lastTransitionTime : undefined;
      return { ...condition, lastTransitionTime: kept ?? conditionTime(now) };
    })
    .sort((a, b) => (a.type < b.type ? -1 : a.type > b.type ? 1 : 0));
}

/** True when both say the same, so that no status needs to be written. */
export function sameConditions(a: readonly Condition[], b: readonly Condition[]): boolean {
  const text = (list: readonly Condition[]): string =>
    JSON.stringify(list.map((c) => [c.type, c.status, c.reason, c.message, c.observedGeneration]).sort(byFirst));
  return text(a) === text(b);
}

/** A metav1.Time: whole seconds, or the API server would store another text than the one that was applied. */
export function conditionTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}

function byFirst(a: readonly unknown[], b: readonly unknown[]): number {
  return String(a[0]) < String(b[0]) ? -1 : 1;
}
