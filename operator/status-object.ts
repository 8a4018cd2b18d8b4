/** The `status` of a MeshConfig: the plan's conditions with their times. */
import type { ConditionValue } from './plan/status.ts';

/** A metav1.Condition. */
export interface Condition extends ConditionValue {
  readonly observedGeneration: number;
  /** RFC 3339: when `status` last changed. */
  readonly lastTransitionTime: string;
}

export interface MeshStatus {
  readonly observedGeneration: number;
  /** Of the control plane that the operator runs. */
  readonly version: string;
  readonly conditions: readonly Condition[];
}

export function nextStatus(
  current: MeshStatus | undefined,
  values: readonly ConditionValue[],
  made: { readonly generation: number; readonly now: Date; readonly version: string },
): MeshStatus {
  const time = made.now.toISOString().replace(/\.\d+Z$/, 'Z');
  const conditions = values.map((value): Condition => {
    const before = current?.conditions?.find(({ type }) => type === value.type);
    const lastTransitionTime = before?.status === value.status ? before.lastTransitionTime : time;
    return { ...value, observedGeneration: made.generation, lastTransitionTime };
  });
  return { observedGeneration: made.generation, version: made.version, conditions };
}

/** Whether a write would change nothing; each write wakes every watcher of the MeshConfig. */
export function sameStatus(a: MeshStatus | undefined, b: MeshStatus): boolean {
  return a !== undefined && flat(a) === flat(b);
}

function flat({ observedGeneration, version, conditions }: MeshStatus): string {
  const entries = (conditions ?? []).map((condition) =>
    JSON.stringify([
      condition.type,
      condition.status,
      condition.reason,
      condition.message,
      condition.observedGeneration,
      condition.lastTransitionTime,
    ]),
  );
  // The list is a map by type: its order says nothing.
  return [observedGeneration, version, ...entries.sort((a, b) => a.localeCompare(b))].join();
}
