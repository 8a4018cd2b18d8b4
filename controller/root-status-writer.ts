/** Writes the statuses of MeshRootCertificates, by the controller's own field manager; `status.roots` is written beside it (`root-memory.ts`). */
import { isDeepStrictEqual } from 'node:util';
import { type Condition, conditionTime, mergeConditions, sameConditions } from '#kubernetes/conditions.ts';
import { MeshRootCertificates } from '#kubernetes/kinds.ts';
import type { KubeObject, KubernetesClient } from '#kubernetes/types.ts';
import type { RootCertificateStatus } from './root-certificate-status.ts';

/** A MeshRootCertificate as the store has it, and what is to be said of it. */
export interface ToldRootCertificate {
  readonly object: KubeObject;
  readonly status: RootCertificateStatus;
}

export interface RootStatusWriter {
  /** Writes when something else is there; true then. Throws what the API server refuses. */
  write(told: ToldRootCertificate): Promise<boolean>;
}

const fieldManager = 'osm-controller';

export function createRootStatusWriter(
  client: Pick<KubernetesClient, 'apply'>,
  now: () => number = Date.now,
): RootStatusWriter {
  // The store lags behind our own writes: until it moves on, this is what we wrote. By UID.
  const written = new Map<string, { readonly before: string; readonly status: StoredStatus }>();

  return {
    async write({ object, status }) {
      const { name, namespace = '', uid = '', resourceVersion = '', generation = 0 } = object.metadata;
      const ours = written.get(uid);
      const current = ours?.before === resourceVersion ? ours.status : ((object.status ?? {}) as Partial<StoredStatus>);
      const wanted = storedStatus(status, current.conditions ?? [], { generation, now: now() });
      if (sameText(current, wanted)) return false;
      const { apiVersion, kind } = object;
      // The UID is a precondition: one of the same name that is made later starts with a clean status.
      const metadata = { name, namespace, uid };
      const applied = { apiVersion, kind, metadata, status: wanted };
      await client.apply<KubeObject>(MeshRootCertificates, applied, {
        fieldManager,
        force: true,
        subresource: 'status',
      });
      written.set(uid, { before: resourceVersion, status: wanted });
      return true;
    },
  };
}

/** As it stands in the object, but for `roots`. */
interface StoredStatus {
  readonly state: string;
  readonly transitionAfter?: string;
  readonly componentStatuses: Readonly<Record<string, string>>;
  readonly observedGeneration: number;
  readonly conditions: readonly Condition[];
}

function storedStatus(
  { state, transitionAfter, sidecar, conditions }: RootCertificateStatus,
  before: readonly Condition[],
  { generation, now }: { generation: number; now: number },
): StoredStatus {
  return {
    state,
    ...(transitionAfter === undefined ? {} : { transitionAfter: conditionTime(transitionAfter) }),
    // Webhooks and xDS have the control-plane CA, of the operator's own; there is no certificate in a bootstrap, and no gateway.
    componentStatuses: {
      ...{ bootstrap: 'unused', gateway: 'unused', mutatingWebhook: 'unused', sidecar },
      ...{ validatingWebhook: 'unused', xdsControlPlane: 'unused' },
    },
    observedGeneration: generation,
    conditions: mergeConditions(
      before,
      conditions.map((condition) => ({ ...condition, observedGeneration: generation })),
      now,
    ),
  };
}

/** Each write wakes every watcher. */
function sameText(a: Partial<StoredStatus>, b: StoredStatus): boolean {
  const { conditions: before = [], ...fields } = a;
  const { conditions, ...wanted } = b;
  // `roots` is not ours, and whatever else somebody wrote there.
  const same = Object.entries(wanted).every(([key, value]) =>
    isDeepStrictEqual(fields[key as keyof typeof fields], value),
  );
  return same && fields.transitionAfter === wanted.transitionAfter && sameConditions(before, conditions);
}
