/** How far a Deployment has come, read as kstatus and `kubectl rollout status` read it. */
import type { ComponentName, ManagedObject, Observed } from './observed.ts';

export type Rollout =
  | { readonly kind: 'absent' }
  /** `available`: enough old or new pods answer meanwhile. */
  | { readonly kind: 'progressing'; readonly available: boolean; readonly message: string }
  | { readonly kind: 'stuck'; readonly available: boolean; readonly message: string }
  | { readonly kind: 'complete' };

interface DeploymentStatus {
  readonly observedGeneration?: number;
  readonly replicas?: number;
  readonly updatedReplicas?: number;
  readonly availableReplicas?: number;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly reason?: string }[];
}

export function rolloutOf(component: ComponentName, observed: Observed): Rollout {
  const deployment = observed.managed.find(
    (object) => object.kind === 'Deployment' && object.metadata.name === component,
  );
  return deployment === undefined ? { kind: 'absent' } : rollout(deployment);
}

function rollout(deployment: ManagedObject): Rollout {
  const { name } = deployment.metadata;
  const wanted = (deployment.spec as { replicas?: number } | undefined)?.replicas ?? 1;
  const status = (deployment.status ?? {}) as DeploymentStatus;
  const condition = (type: string) => status.conditions?.find((candidate) => candidate.type === type);
  const available = condition('Available')?.status === 'True';
  const { updatedReplicas = 0, availableReplicas = 0, replicas = 0 } = status;
  const progressing = (message: string): Rollout => ({ kind: 'progressing', available, message });

  if ((status.observedGeneration ?? 0) < (deployment.metadata.generation ?? 0)) {
    return progressing(`${name}: its newest version is not being rolled out yet`);
  }
  if (condition('Progressing')?.reason === 'ProgressDeadlineExceeded') {
    const message = `${name}: ${availableReplicas} of ${wanted} pods are available, and none became so in time; see its pods' events and logs`;
    return { kind: 'stuck', available, message };
  }
  if (updatedReplicas < wanted) return progressing(`${name}: ${updatedReplicas} of ${wanted} pods are updated`);
  if (replicas > updatedReplicas) {
    return progressing(`${name}: ${replicas - updatedReplicas} old pods are still to end`);
  }
  if (availableReplicas < wanted) return progressing(`${name}: ${availableReplicas} of ${wanted} pods are available`);
  return available ? { kind: 'complete' } : progressing(`${name}: not available yet`);
}

/** Whether its pods answer, old or new. */
export function isAvailable(rolloutState: Rollout): boolean {
  switch (rolloutState.kind) {
    case 'absent':
      return false;
    case 'complete':
      return true;
    case 'progressing':
    case 'stuck':
      return rolloutState.available;
  }
}
