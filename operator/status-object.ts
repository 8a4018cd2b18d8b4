/** The `status` of a MeshConfig: the plan's conditions with their times. */
import { type Condition, mergeConditions, sameConditions } from '#kubernetes/conditions.ts';
import { conditionTypes, type ConditionValue } from './plan/status.ts';

export interface MeshStatus {
  readonly observedGeneration: number;
  /** Of the control plane that the operator runs; undefined where it runs none. */
  readonly version: string | undefined;
  readonly conditions: readonly Condition[];
}

export function nextStatus(
  current: Partial<MeshStatus> | undefined,
  values: readonly ConditionValue[],
  made: { readonly generation: number; readonly now: number; readonly version: string | undefined },
): MeshStatus {
  const { generation, now, version } = made;
  const wanted = values.map((value) => ({ ...value, observedGeneration: generation }));
  return {
    observedGeneration: generation,
    version,
    conditions: mergeConditions(current?.conditions ?? [], wanted, now),
  };
}

/** Whether a write would change nothing; each write wakes every watcher of the MeshConfig. */
export function sameStatus(a: Partial<MeshStatus> | undefined, b: MeshStatus): boolean {
  return (
    a?.observedGeneration === b.observedGeneration &&
    a.version === b.version &&
    sameConditions(ownConditions(a.conditions), b.conditions)
  );
}

/** The controller writes conditions, too. */
function ownConditions(conditions: readonly Condition[] = []): Condition[] {
  return conditions.filter(({ type }) => (conditionTypes as readonly string[]).includes(type));
}
