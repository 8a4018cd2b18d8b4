/**
 * The resources of a sidecar as a static Envoy configuration: routes inlined into their connection managers, endpoints into
 * their clusters, secrets beside them. So `--mode validate` looks at all of it (dynamic resources it would skip), and an
 * Envoy runs it without a control plane. Nothing else is changed, except addresses where a test asks for it.
 */
import { createHash } from 'node:crypto';
import { type DescMessage, type JsonValue, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { ClusterSchema } from '#xds/proto/gen/envoy/config/cluster/v3/cluster_pb.js';
import { ClusterLoadAssignmentSchema } from '#xds/proto/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import { RouteConfigurationSchema } from '#xds/proto/gen/envoy/config/route/v3/route_pb.js';
import { SecretSchema } from '#xds/proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { anyRegistry } from '#xds/proto/registry.ts';
import type { Resource } from '#xds/resource.ts';
import { type Bootstrap, loopback } from './envoy.ts';

const schemas: Readonly<Record<string, DescMessage>> = Object.fromEntries(
  [ClusterSchema, ClusterLoadAssignmentSchema, ListenerSchema, RouteConfigurationSchema, SecretSchema].map((schema) => [
    `type.googleapis.com/${schema.typeName}`,
    schema,
  ]),
);

type Json = { [key: string]: JsonValue };

export function kindOf(resource: Resource): string {
  return resource.type.slice(resource.type.lastIndexOf('.') + 1);
}

/** One resource as JSON, with what is packed inside written out, under the names of Envoy's documentation. */
export function resourceJson(resource: Resource): Json {
  const schema = schemas[resource.type];
  if (schema === undefined) throw new Error(`no schema for ${resource.type}`);
  return toJson(schema, fromBinary(schema, resource.bytes), {
    registry: anyRegistry,
    useProtoFieldName: true,
  }) as Json;
}

/** The same resource with another content, for tests that spoil one. */
export function withJson(resource: Resource, json: JsonValue): Resource {
  const schema = schemas[resource.type];
  if (schema === undefined) throw new Error(`no schema for ${resource.type}`);
  const bytes = toBinary(schema, fromJson(schema, json, { registry: anyRegistry }));
  return { ...resource, bytes, hash: createHash('sha256').update(bytes).digest('hex').slice(0, 16) };
}

export interface StaticOptions {
  /** Where listeners listen instead, by name: their own ports belong to the pod's iptables rules. The first is primary. */
  readonly listenOn?: Readonly<Record<string, readonly { readonly address: string; readonly port: number }[]>>;
  /** Secrets of the sidecar; needed wherever a listener or cluster speaks TLS. */
  readonly secrets?: readonly Resource[];
}

/** Listeners alone, for a file that Envoy watches. */
export function staticListeners(resources: readonly Resource[], options: StaticOptions = {}): Json[] {
  const routes = new Map(ofKind(resources, 'RouteConfiguration').map((it) => [it.name, resourceJson(it)]));
  return ofKind(resources, 'Listener').map((listener) => {
    const json = rewrite(resourceJson(listener), routes) as Json;
    const [first, ...others] = (options.listenOn?.[listener.name] ?? []).map(({ address, port }) => ({
      address: { socket_address: { address, port_value: port } },
    }));
    return first === undefined ? json : { ...json, ...first, additional_addresses: others };
  });
}

export function staticClusters(resources: readonly Resource[]): Json[] {
  const endpoints = new Map(ofKind(resources, 'ClusterLoadAssignment').map((it) => [it.name, resourceJson(it)]));
  return ofKind(resources, 'Cluster').map((cluster) => {
    const { eds_cluster_config: eds, ...json } = rewrite(resourceJson(cluster), new Map()) as Json;
    if (eds === undefined) return json;
    return { ...json, type: 'STATIC', load_assignment: endpoints.get(cluster.name) ?? { cluster_name: cluster.name } };
  });
}

export function staticBootstrap(resources: readonly Resource[], options: StaticOptions = {}): Bootstrap {
  return {
    static_resources: {
      listeners: staticListeners(resources, options),
      clusters: [...staticClusters(resources), adminCluster],
      secrets: (options.secrets ?? []).map(resourceJson),
    },
  };
}

/** A stand-in for the static cluster of a sidecar's bootstrap. */
const adminCluster = {
  name: 'envoy-admin',
  type: 'STATIC',
  load_assignment: {
    cluster_name: 'envoy-admin',
    endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(15000) } }] }],
  },
};

function ofKind(resources: readonly Resource[], kind: string): Resource[] {
  return resources.filter((it) => kindOf(it) === kind);
}

/** Inlines routes, and makes secrets ones that stand in the same file. */
function rewrite(value: JsonValue, routes: ReadonlyMap<string, Json>): JsonValue {
  if (Array.isArray(value)) return value.map((it) => rewrite(it, routes));
  if (value === null || typeof value !== 'object') return value;
  const result: Json = {};
  for (const [key, inner] of Object.entries(value)) {
    if (key === 'sds_config') continue;
    if (key === 'rds' && inner !== null && typeof inner === 'object' && !Array.isArray(inner)) {
      const name = inner['route_config_name'];
      const route = typeof name === 'string' ? routes.get(name) : undefined;
      if (route === undefined) throw new Error(`no such routes among the resources: ${JSON.stringify(name)}`);
      result['route_config'] = route;
    } else result[key] = rewrite(inner, routes);
  }
  return result;
}
