/** What a MeshConfig outside the control plane's namespace says of itself: the API server takes it, and nothing acts on it. */
import { meshConfigName } from '#cdk8s/names.ts';
import type { ConditionValue } from './status.ts';

const reason = 'NotThisMesh';

/** `namespace` is the control plane's. */
export function notThisMesh(namespace: string): ConditionValue[] {
  const message =
    `This MeshConfig changes nothing: the control plane runs in namespace ${namespace}, and only the MeshConfig ` +
    `${meshConfigName} in there counts. Apply it there, and delete this one.`;
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type: 'Reconciling', status: 'False', reason, message },
    { type: 'Stalled', status: 'True', reason, message },
  ];
}
