/** A refusal (NACK) as an Event on the MeshConfig: what `kubectl describe meshconfig` shows to whoever changed something. */
import type { EventNote } from '#kubernetes/event-object.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { CLUSTER, ENDPOINTS, LISTENER, ROUTES, SECRET, type TypeUrl } from '#xds/cache/types.ts';
import type { Nack } from '#xds/server/stream.ts';

const WHAT: Readonly<Record<TypeUrl, string>> = {
  [CLUSTER]: 'clusters (CDS)',
  [ENDPOINTS]: 'endpoints (EDS)',
  [SECRET]: 'certificates (SDS)',
  [LISTENER]: 'listeners (LDS)',
  [ROUTES]: 'routes (RDS)',
};

/** Names that are told; the log has them all. Envoy's words follow them and must not be cut away. */
const MOST_NAMES = 3;

/** The recorder cuts the note to what the API server takes (1,024 bytes): who and what come first, Envoy's words last. */
export function refusalEvent(
  meshConfig: KubeObject,
  sidecar: { readonly namespace: string; readonly pod: string },
  nack: Pick<Nack, 'type' | 'error'> & { readonly culprits: readonly { readonly name: string }[] },
): EventNote {
  const told = nack.culprits.slice(0, MOST_NAMES).map(({ name }) => name);
  const more = nack.culprits.length - told.length;
  const names = told.length === 0 ? '' : ` ${told.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  return {
    regarding: meshConfig,
    type: 'Warning',
    reason: 'ConfigurationRefused',
    action: 'Configure',
    note: `The sidecar of ${sidecar.namespace}/${sidecar.pod} refused ${WHAT[nack.type]}${names} and keeps the last good configuration. Envoy: ${nack.error}`,
  };
}
