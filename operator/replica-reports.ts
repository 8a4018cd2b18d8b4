/** What each replica of the controller says of its sidecars' roots, by the Lease that it keeps (certificates/replica-report.ts). */
import { controllerName } from '#cdk8s/names.ts';
import {
  readReport,
  replicaLeaseName,
  replicaLeaseSelector,
  replicaReportAnnotation,
  replicaStaleMs,
} from '#certificates/replica-report.ts';
import { Leases, Pods } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import type { ControllerReplica } from './plan/observed.ts';

/**
 * A replica that hangs says nothing new, and its sidecars may be told nothing. Clocks of two machines are compared here: where they
 * differ by more, no replica counts as reporting, and the rotation waits.
 */
const staleMs = 2 * replicaStaleMs;

export interface ReplicaReportOptions {
  readonly client: KubernetesClient;
  /** The control plane's. */
  readonly namespace: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** Every pod of the controller that runs, ready or not: its sidecars may be connected all the same. Throws what the API server refused. */
export async function readReplicaReports({
  client,
  namespace,
  now,
}: ReplicaReportOptions): Promise<ControllerReplica[]> {
  const [pods, leases] = await Promise.all([
    client.list<KubeObject>(Pods, { namespace, labelSelector: `app=${controllerName}` }),
    client.list<KubeObject>(Leases, { namespace, labelSelector: replicaLeaseSelector }),
  ]);
  const byName = new Map(leases.items.map((lease) => [lease.metadata.name, lease]));
  return pods.items
    .filter(({ status }) => (status as PodStatus | undefined)?.phase === 'Running')
    .map(({ metadata: { name }, status }): ControllerReplica => {
      const lease = byName.get(replicaLeaseName(name));
      const text = lease !== undefined && isRenewed(lease, now) ? lease.metadata.annotations : undefined;
      return {
        pod: name,
        startedAt: startOf(status as PodStatus),
        report: readReport(text?.[replicaReportAnnotation]),
      };
    })
    .sort((a, b) => (a.pod < b.pod ? -1 : 1));
}

interface PodStatus {
  readonly phase?: string;
  readonly containerStatuses?: readonly { readonly state?: { readonly running?: { readonly startedAt?: string } } }[];
}

/** Of the container that began last, which is the process of now. */
function startOf({ containerStatuses = [] }: PodStatus): number | undefined {
  const times = containerStatuses.map(({ state }) => Date.parse(state?.running?.startedAt ?? ''));
  const known = times.filter((time) => !Number.isNaN(time));
  return known.length === 0 ? undefined : Math.max(...known);
}

function isRenewed({ spec }: KubeObject, now: number): boolean {
  const { renewTime = '' } = (spec ?? {}) as { renewTime?: string };
  return Math.abs(now - Date.parse(renewTime)) <= staleMs;
}
