/** The short path: endpoints of one service change, and nothing but its assignments is made again. */
import { digest } from './intern.ts';
import type { MeshModel, MeshService, ServiceEndpoint } from './model.ts';
import { compareText } from './order.ts';
import type { EndpointAssignment, UpstreamCluster } from './view.ts';

/**
 * The endpoints of a cluster as a client in `zone` sees them (empty: unknown). Those that it should prefer come first, the others
 * take over where none of these can be reached; without a preference all are equal. Equal assignments of one service are the
 * same object.
 */
export function endpointsFor(model: MeshModel, cluster: UpstreamCluster, zone: string): EndpointAssignment {
  const service = model.services.get(`${cluster.namespace}/${cluster.service}`);
  if (service === undefined || cluster.discovery !== 'endpoints') return { cluster: cluster.name, localities: [] };
  const memo = assignmentsOf(model, service);
  const { accounts, open } = cluster;
  const all = service.endpoints.get(cluster.port) ?? [];
  const ready = all.filter(
    ({ account, port }) => accounts.includes(account) && (open === undefined || open.includes(`${account}|${port}`)),
  );
  const preference = preferenceOf(all, ready, zone);
  const key = `${cluster.name}@${preference === 'none' ? '' : `${preference} ${zone}`}`;
  const known = memo.get(key);
  if (known !== undefined) return known;
  const preferred = (endpoint: ServiceEndpoint): boolean => PREFERS[preference](endpoint, zone);
  const assignment = { cluster: cluster.name, localities: localities(ready, preferred) };
  const content = `endpoints:${digest(JSON.stringify(assignment))}`;
  const { value } = model.parts.intern(content, () => ({ key: content, value: assignment }));
  memo.set(key, value);
  return value;
}

const PREFERS = {
  hints: ({ hintZones }: ServiceEndpoint, zone: string) => hintZones.includes(zone),
  zone: (endpoint: ServiceEndpoint, zone: string) => endpoint.zone === zone,
  none: () => true,
} as const;

/**
 * The EndpointSlices' hints by kube-proxy's rule: they count when every ready endpoint of the port has some and one names the
 * client's zone. Otherwise the zones themselves. Hints for nodes are not read.
 */
function preferenceOf(
  all: readonly ServiceEndpoint[],
  reachable: readonly ServiceEndpoint[],
  zone: string,
): keyof typeof PREFERS {
  if (zone === '') return 'none';
  const hinted = all.every(({ hintZones }) => hintZones.length > 0);
  if (hinted && reachable.some((endpoint) => PREFERS.hints(endpoint, zone))) return 'hints';
  return reachable.some((endpoint) => PREFERS.zone(endpoint, zone)) ? 'zone' : 'none';
}

function assignmentsOf(model: MeshModel, service: MeshService): Map<string, EndpointAssignment> {
  const known = model.memo.assignments.get(service);
  if (known !== undefined) return known;
  const fresh = new Map<string, EndpointAssignment>();
  model.memo.assignments.set(service, fresh);
  return fresh;
}

/** A zone may stand in it twice: hints may prefer some of its endpoints only. */
function localities(
  ready: readonly ServiceEndpoint[],
  preferred: (endpoint: ServiceEndpoint) => boolean,
): EndpointAssignment['localities'] {
  const ranked = [ready.filter(preferred), ready.filter((endpoint) => !preferred(endpoint))];
  return ranked.flatMap((list, priority) =>
    [...Map.groupBy(list, ({ zone }) => zone)]
      .map(([zone, endpoints]) => ({
        zone,
        priority,
        endpoints: endpoints.map(({ address, port, workload }) => ({ address, port, workload })),
      }))
      .sort((a, b) => compareText(a.zone, b.zone)),
  );
}
