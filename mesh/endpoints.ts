/** The short path: endpoints of one service change, and nothing but its assignments is made again. */
import { digest } from './intern.ts';
import type { MeshModel, MeshService, ServiceEndpoint } from './model.ts';
import { compareText } from './order.ts';
import type { EndpointAssignment, UpstreamCluster } from './view.ts';

/**
 * The endpoints of a cluster as a client in `zone` sees them (empty: unknown). The client's own zone comes first; where it has
 * no ready endpoint, or zones are unknown, all are equal. Equal assignments of one service are the same object.
 */
export function endpointsFor(model: MeshModel, cluster: UpstreamCluster, zone: string): EndpointAssignment {
  const service = model.services.get(`${cluster.namespace}/${cluster.service}`);
  if (service === undefined || cluster.discovery !== 'endpoints') return { cluster: cluster.name, localities: [] };
  const memo = assignmentsOf(model, service);
  const ready = (service.endpoints.get(cluster.port) ?? []).filter(({ account }) => cluster.accounts.includes(account));
  const preferred = ready.some((endpoint) => endpoint.zone === zone) ? zone : '';
  const key = `${cluster.name}@${preferred}`;
  const known = memo.get(key);
  if (known !== undefined) return known;
  const assignment = { cluster: cluster.name, localities: localities(ready, preferred) };
  const content = `endpoints:${digest(JSON.stringify(assignment))}`;
  const { value } = model.parts.intern(content, () => ({ key: content, value: assignment }));
  memo.set(key, value);
  return value;
}

function assignmentsOf(model: MeshModel, service: MeshService): Map<string, EndpointAssignment> {
  const known = model.memo.assignments.get(service);
  if (known !== undefined) return known;
  const fresh = new Map<string, EndpointAssignment>();
  model.memo.assignments.set(service, fresh);
  return fresh;
}

function localities(ready: readonly ServiceEndpoint[], preferred: string): EndpointAssignment['localities'] {
  return [...Map.groupBy(ready, ({ zone }) => zone)]
    .map(([zone, endpoints]) => ({
      zone,
      priority: preferred === '' || zone === preferred ? 0 : 1,
      endpoints: endpoints.map(({ address, port, workload }) => ({ address, port, workload })),
    }))
    .sort((a, b) => a.priority - b.priority || compareText(a.zone, b.zone));
}
