/**
 * The replicas of the controller, as they know each other: each keeps a Lease of its own with its report
 * (`certificates/replica-report.ts`), and watches those of the others.
 *
 * A replica counts until it has not renewed its Lease for a while, also when its pod is gone before: its sidecars are on their
 * way to another one then, and have what it said that they have. Time is this process's own since it last saw the Lease
 * change; wall clocks of two machines are never compared.
 */
import { readCertificates } from '#certificates/pem.ts';
import {
  type ReplicaReport,
  readReport,
  replicaLeaseLabel,
  replicaLeaseName,
  replicaLeaseSelector,
  replicaRenewMs,
  replicaReportAnnotation,
  replicaRootsAnnotation,
  replicaStaleMs,
  writeReport,
} from '#certificates/replica-report.ts';
import { noTrust, type Trust } from '#certificates/trust.ts';
import { microTime } from '#kubernetes/lease.ts';
import { Leases, Pods } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient, OwnerReference, Reflector, ReflectorOptions } from '#kubernetes/types.ts';
import type { Replica } from './spread.ts';

export interface ReplicasOptions {
  readonly client: Pick<KubernetesClient, 'apply' | 'get'>;
  readonly reflect: <T>(options: Pick<ReflectorOptions<T>, 'kind' | 'list' | 'transform'>) => Reflector<T>;
  readonly namespace: string;
  readonly podName: string;
  /** Another replica says something else, or is there no more. */
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
  readonly timing?: Partial<ReplicaTiming>;
}

export interface ReplicaTiming {
  readonly renewMs: number;
  readonly staleMs: number;
}

export interface Replicas {
  start(): void;
  stop(): void;
  /** True once it is known who else there is. */
  readonly isSynced: boolean;
  /** The others, and for a while what this pod's former process said: its sidecars are coming back. */
  others(): readonly Replica[];
  /** Says this of this replica: at once when it says something else than before, and again at each renewal. */
  publish(report: ReplicaReport, neededRoots: Trust): void;
}

/** As its Lease was last seen, at `at` of this process's monotonic clock. */
interface Seen extends Replica {
  readonly at: number;
  readonly text: string;
}

const fieldManager = 'osm-controller';

export function createReplicas(options: ReplicasOptions): Replicas {
  const { client, namespace, podName } = options;
  const { renewMs = replicaRenewMs, staleMs = replicaStaleMs } = options.timing ?? {};
  const name = replicaLeaseName(podName);
  const seen = new Map<string, Seen>();
  let own: { readonly text: string; readonly annotations: Record<string, string> } | undefined;
  let began = false;
  let owner: readonly OwnerReference[] | undefined;
  let busy = false;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;

  const reflector = options.reflect({
    kind: Leases,
    list: { namespace, labelSelector: replicaLeaseSelector },
    transform: replicaOf,
  });
  reflector.store.subscribe((change) => {
    if (change.type === 'deleted') return; // it counts until it is stale
    const replica = change.object;
    // What comes back of one's own writing; only what a former process wrote is news.
    if (replica.podName === podName && began) return;
    const before = seen.get(replica.podName);
    seen.set(replica.podName, { ...replica, at: performance.now() });
    if (before?.text !== replica.text) options.onChange();
  });

  /** A Lease stays when its pod is not found: it says nothing then that a stale one does not say. */
  async function ownerReferences(): Promise<readonly OwnerReference[]> {
    const pod = await client.get<KubeObject>(Pods, podName, namespace);
    const uid = pod?.metadata.uid;
    return uid === undefined ? [] : [{ apiVersion: 'v1', kind: 'Pod', name: podName, uid }];
  }

  async function write(): Promise<void> {
    if (busy || stopped || own === undefined) return;
    [busy, began] = [true, true];
    clearTimeout(timer);
    const { text, annotations } = own;
    let waitMs = renewMs;
    try {
      owner ??= await ownerReferences();
      const metadata = { name, namespace, labels: replicaLeaseLabel, annotations, ownerReferences: [...owner] };
      const spec = {
        holderIdentity: podName,
        leaseDurationSeconds: Math.max(1, Math.round(staleMs / 1_000)),
        renewTime: microTime(Date.now()),
      };
      const { apiVersion, kind } = lease;
      await client.apply<KubeObject>(Leases, { apiVersion, kind, metadata, spec }, { fieldManager, force: true });
    } catch (error) {
      options.onError(error);
      waitMs = Math.min(renewMs, 2_000);
    }
    busy = false;
    if (stopped) return;
    if (own.text !== text) return void write();
    timer = setTimeout(() => void write(), waitMs);
  }

  return {
    start: () => reflector.start(),
    stop() {
      stopped = true;
      clearTimeout(timer);
      reflector.stop();
    },
    get isSynced() {
      return reflector.isSynced;
    },
    others() {
      const now = performance.now();
      for (const [key, { at }] of seen) if (now - at > staleMs) seen.delete(key);
      return [...seen.values()].toSorted((a, b) => (a.podName < b.podName ? -1 : 1));
    },
    publish(report, neededRoots) {
      const annotations = {
        [replicaReportAnnotation]: writeReport(report),
        [replicaRootsAnnotation]: JSON.stringify(Object.fromEntries(neededRoots)),
      };
      const text = JSON.stringify(annotations);
      if (own?.text === text) return;
      own = { text, annotations };
      void write();
    },
  };
}

const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' } as const;

/** Undefined for one without a report that we understand. */
function replicaOf({ metadata, spec }: KubeObject): (Replica & { readonly text: string }) | undefined {
  const text = metadata.annotations?.[replicaReportAnnotation];
  const report = readReport(text);
  const { holderIdentity } = (spec ?? {}) as { holderIdentity?: unknown };
  if (report === undefined || text === undefined || typeof holderIdentity !== 'string') return undefined;
  return {
    podName: holderIdentity,
    report,
    text,
    neededRoots: rootsIn(metadata.annotations?.[replicaRootsAnnotation]),
  };
}

/** A text that is none of ours must not stop the mesh. */
function rootsIn(text: string | undefined): Trust {
  try {
    const bundles = Object.entries(JSON.parse(text ?? '{}') as Record<string, unknown>).map(
      ([domain, pem]) => [domain, readCertificates(String(pem)).map(String).join('')] as const,
    );
    return new Map(bundles.filter(([, pem]) => pem !== ''));
  } catch {
    return noTrust;
  }
}
