/** The resources of one sidecar as Envoy reads them: messages again, by name. Nothing of the mesh's own views is known here. */
import { type DescMessage, fromBinary, type MessageShape } from '@bufbuild/protobuf';
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt';
import { type Cluster, ClusterSchema } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { type Listener, ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import { type RouteConfiguration, RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import type { Resource } from '#xds/resource.ts';

export interface SidecarConfig {
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly routes: ReadonlyMap<string, RouteConfiguration>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly assignments: ReadonlyMap<string, ClusterLoadAssignment>;
}

export function configOf(resources: readonly Resource[]): SidecarConfig {
  return {
    listeners: decoded(resources, ListenerSchema),
    routes: decoded(resources, RouteConfigurationSchema),
    clusters: decoded(resources, ClusterSchema),
    assignments: decoded(resources, ClusterLoadAssignmentSchema),
  };
}

/** Shared resources are shared messages, too: a mesh of many sidecars is decoded once. */
const messages = new WeakMap<Resource, unknown>();

function decoded<S extends DescMessage>(resources: readonly Resource[], schema: S): Map<string, MessageShape<S>> {
  const byName = new Map<string, MessageShape<S>>();
  for (const resource of resources) {
    if (resource.type !== `type.googleapis.com/${schema.typeName}`) continue;
    if (byName.has(resource.name)) throw new Error(`Envoy would refuse two of ${resource.type} "${resource.name}"`);
    const known = (messages.get(resource) as MessageShape<S> | undefined) ?? fromBinary(schema, resource.bytes);
    messages.set(resource, known);
    byName.set(resource.name, known);
  }
  return byName;
}

/** Throws where another message is packed than the simulation understands: what is not understood is never passed over. */
export function unpack<S extends DescMessage>(any: Any | undefined, schema: S): MessageShape<S> {
  const message = any === undefined ? undefined : anyUnpack(any, schema);
  if (message === undefined) throw new Error(`the simulation expects ${schema.typeName}, not ${any?.typeUrl}`);
  return message;
}

export function packs(any: Any | undefined, schema: DescMessage): boolean {
  return any?.typeUrl === `type.googleapis.com/${schema.typeName}`;
}

/** The config of a filter, whatever oneof holds it. */
export function typedConfig(filter: { readonly configType: { case?: string | undefined; value?: unknown } }): Any {
  if (filter.configType.case !== 'typedConfig') throw new Error('the simulation knows typed filters only');
  return filter.configType.value as Any;
}
