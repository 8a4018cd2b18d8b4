/** The short path: who stands behind a cluster right now. */
import type { EndpointAssignment, MeshEndpoint } from '#mesh/view.ts';
import type { LbEndpointSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Resource } from '#xds/resource.ts';
import { type Init, resource } from './encode.ts';
import { socketAddress } from './listener.ts';
import { memo } from './memo.ts';
import { METADATA } from './names.ts';

/**
 * Envoy wants priorities from 0 without a gap, so a zone without endpoints of its own moves the others up. An assignment
 * without endpoints is valid: calls get 503.
 */
export const translateEndpoints = memo((assignment: EndpointAssignment): Resource => {
  const localities = assignment.localities.filter(({ endpoints }) => endpoints.length > 0);
  const ranks = [...new Set(localities.map(({ priority }) => priority))].toSorted((a, b) => a - b);
  return resource(ClusterLoadAssignmentSchema, assignment.cluster, {
    clusterName: assignment.cluster,
    endpoints: localities.map(({ zone, priority, endpoints }) => ({
      locality: { zone },
      priority: ranks.indexOf(priority),
      lbEndpoints: endpoints.map(endpoint),
    })),
  });
});

function endpoint({ address, port, workload }: MeshEndpoint): Init<typeof LbEndpointSchema> {
  const { namespace, kind, name, pod } = workload;
  return {
    hostIdentifier: { case: 'endpoint', value: { address: socketAddress(address, port) } },
    metadata: { filterMetadata: { [METADATA]: { namespace, kind, name, pod } } },
  };
}
