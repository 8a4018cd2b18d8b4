/** Which changes of a MeshConfig's conditions are told as Events: those that a person acts on, or waited for. */
import type { Condition } from '#kubernetes/conditions.ts';
import type { EventNote } from '#kubernetes/event-object.ts';
import type { KubeObject } from '#kubernetes/types.ts';

const rotations: readonly string[] = ['ControlPlaneCARotating', 'WorkloadRootRotating'];

export function eventFor(meshConfig: KubeObject, condition: Condition): EventNote | undefined {
  const { type, status, reason, message } = condition;
  const event = (severity: EventNote['type']): EventNote => ({
    regarding: meshConfig,
    type: severity,
    reason,
    action: 'Reconcile',
    note: message,
  });
  if (type === 'Stalled' && status === 'True') return event('Warning');
  if (type === 'Ready' && status === 'True') return event('Normal');
  if (type === 'Reconciling' && status === 'True') return event(reason === 'Retrying' ? 'Warning' : 'Normal');
  // Each step of a rotation, and its end, which only the condition before can tell from there having been none.
  if (rotations.includes(type) && (status === 'True' || wasTrue(meshConfig, type))) return event('Normal');
  return undefined;
}

function wasTrue(meshConfig: KubeObject, type: string): boolean {
  const before = meshConfig.status as { conditions?: readonly Condition[] } | undefined;
  return before?.conditions?.some((condition) => condition.type === type && condition.status === 'True') ?? false;
}
