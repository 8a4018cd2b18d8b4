/** The short path: who stands behind a cluster right now. */
import type { EndpointAssignment, MeshEndpoint } from '#mesh/view.ts';
import { AddressSchema, SocketAddressSchema } from '#xds/proto/gen/envoy/config/core/v3/address_pb.js';
import { LocalitySchema } from '#xds/proto/gen/envoy/config/core/v3/base_pb.js';
import {
  EndpointSchema,
  LbEndpointSchema,
  LocalityLbEndpointsSchema,
} from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import type { Resource } from '#xds/resource.ts';
import { assembled } from './encode.ts';
import { memo } from './memo.ts';
import { ourMetadata } from './metadata.ts';
import { type Field, nested, tagOf, text, unsigned } from './wire.ts';

const CLUSTER_NAME = tagOf(ClusterLoadAssignmentSchema, 'clusterName');
const LOCALITIES = tagOf(ClusterLoadAssignmentSchema, 'endpoints');
const LOCALITY = tagOf(LocalityLbEndpointsSchema, 'locality');
const ZONE = tagOf(LocalitySchema, 'zone');
const LB_ENDPOINTS = tagOf(LocalityLbEndpointsSchema, 'lbEndpoints');
const PRIORITY = LocalityLbEndpointsSchema.field.priority.number;
const ENDPOINT = tagOf(LbEndpointSchema, 'endpoint');
const ENDPOINT_METADATA = tagOf(LbEndpointSchema, 'metadata');
const ADDRESS = tagOf(EndpointSchema, 'address');
const SOCKET_ADDRESS = tagOf(AddressSchema, 'socketAddress');
const IP = tagOf(SocketAddressSchema, 'address');
const PORT = SocketAddressSchema.field.portValue.number;

/**
 * Envoy wants priorities from 0 without a gap, so a zone without endpoints of its own moves the others up. An assignment
 * without endpoints is valid: calls get 503.
 */
export const translateEndpoints = memo((assignment: EndpointAssignment): Resource => {
  const localities = assignment.localities.filter(({ endpoints }) => endpoints.length > 0);
  const ranks = [...new Set(localities.map(({ priority }) => priority))].toSorted((a, b) => a - b);
  return assembled(ClusterLoadAssignmentSchema, assignment.cluster, [
    text(CLUSTER_NAME, assignment.cluster),
    ...localities.map(({ zone, priority, endpoints }) =>
      nested(
        LOCALITIES,
        nested(LOCALITY, ...(zone === '' ? [] : [text(ZONE, zone)])),
        ...endpoints.map(endpoint),
        unsigned(PRIORITY, ranks.indexOf(priority)),
      ),
    ),
  ]);
});

function endpoint({ address, port, workload }: MeshEndpoint): Field {
  const { namespace, kind, name, pod } = workload;
  return nested(
    LB_ENDPOINTS,
    nested(ENDPOINT, nested(ADDRESS, nested(SOCKET_ADDRESS, text(IP, address), unsigned(PORT, port)))),
    ourMetadata(ENDPOINT_METADATA, { namespace, kind, name, pod }),
  );
}
