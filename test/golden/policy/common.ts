/** The parts that every sidecar has, taken from the translation of a small mesh; `common.yaml` shows them. */
import assert from 'node:assert/strict';
import type { JsonObject, JsonValue } from '@bufbuild/protobuf';
import { compile } from '#mesh/compile.ts';
import { CLOSED_REASONS } from '#mesh/view.ts';
import { resourcesOfModel } from '#test/support/simulate/mesh.ts';
import { kindOf, resourceJson } from '#test/support/static-config.ts';
import { cluster, pod, port, service, SETTINGS } from '#test/unit/mesh/builders.ts';
import { type Common, foldInside } from './fold.ts';

type Path = readonly (string | number)[];

export function commonParts(): Common {
  const ports = [port(80, { name: 'http' }), port(90, { name: 'grpc' }), port(100, { name: 'tcp' })];
  const web = service('shop/web', { ports, clusterIPs: ['10.96.0.1'] });
  const server = pod('shop/web-1', 'web', { ips: ['10.244.0.1'], metrics: true });
  const headless = service('shop/web-headless', { ports, headless: true, selector: { app: 'web' } });
  const resources = resourcesOfModel(
    compile(cluster({ services: [web, headless], pods: [server], config: { ...SETTINGS, permissive: true } })).model,
  )(server).map((resource) => ({
    ...{ kind: kindOf(resource), name: resource.name, json: resourceJson(resource) },
  }));
  const find = (kind: string, name: string): JsonObject => {
    const found = resources.find((it) => it.kind === kind && it.name.startsWith(name));
    assert.ok(found, `the small mesh has no ${kind} ${name}`);
    return found.json;
  };
  const upstream = (port: number, name = 'web') => find('Cluster', `shop/${name}|${port}`);
  const [outbound, inbound] = [find('Listener', 'outbound'), find('Listener', 'inbound')];
  const chain = (listener: JsonObject, name: string): JsonValue => {
    const found = (listener['filter_chains'] as JsonObject[]).find((it) => it['name'] === name);
    assert.ok(found, `no chain ${name}`);
    return found;
  };
  const httpIn = chain(inbound, 'shop/web.80');
  const routes = {
    out: find('RouteConfiguration', 'outbound.80'),
    in: find('RouteConfiguration', 'inbound.shop/web.80'),
  };
  const own: Path = ['virtual_hosts', 0, 'routes'];
  const sans: Path = [
    'typed_config',
    'common_tls_context',
    'combined_validation_context',
    'default_validation_context',
  ];
  const manager: Path = ['typed_config', 'rds', 'route_config_name'];
  const ofCluster: readonly Path[] = [
    ['name'],
    ['metadata'],
    ['transport_socket', 'typed_config', 'sni'],
    ['transport_socket', ...sans],
  ];
  const ofLocal: readonly Path[] = [['name'], ['load_assignment']];

  const closing = (reason: string): [string, JsonValue, []] => [`chain ${reason}`, chain(outbound, reason), []];

  // small ones first: the larger are folded with them
  const parts: [name: string, part: JsonValue, without: readonly Path[]][] = [
    ['no limits', at(upstream(80), ['circuit_breakers']), []],
    ['retries of what was not sent', at(routes.out, [...own, 1, 'route', 'retry_policy']), []],
    ['retries of safe methods', at(routes.out, [...own, 0, 'route', 'retry_policy']), []],
    ['route of safe methods', at(routes.out, [...own, 0]), [['route', 'cluster']]],
    ['route', at(routes.out, [...own, 1]), [['route', 'cluster']]],
    ['no such host', at(routes.out, ['virtual_hosts', 2]), []],
    [
      'route to the application',
      at(routes.in, [...own, 0]),
      [['match'], ['route', 'cluster'], ['metadata'], ['typed_per_filter_config']],
    ],
    ['no route', at(routes.in, [...own, 1]), []],
    ['unknown host', at(routes.in, ['virtual_hosts', 1]), []],
    ['TLS to a sidecar', at(upstream(80), ['transport_socket']), [['typed_config', 'sni'], sans]],
    ['TLS from a sidecar', at(httpIn, ['transport_socket']), [sans]],
    ['outbound HTTP', at(chain(outbound, 'http.outbound.80'), ['filters', 0]), [manager]],
    ['inbound HTTP', at(httpIn, ['filters', 0]), [manager]],
    [
      'outbound TCP',
      at(chain(outbound, 'tcp.shop/web:100'), ['filters', 0]),
      [
        ['typed_config', 'stat_prefix'],
        ['typed_config', 'cluster'],
      ],
    ],
    ['inbound TCP', at(chain(inbound, 'shop/web.100'), ['filters', 1]), [['typed_config', 'cluster']]],
    ['HTTP cluster', upstream(80), ofCluster],
    ['HTTP/2 cluster', upstream(90), ofCluster],
    ['TCP cluster', upstream(100), ofCluster],
    ['headless HTTP cluster', upstream(80, 'web-headless'), [...ofCluster, ['original_dst_lb_config']]],
    ['headless HTTP/2 cluster', upstream(90, 'web-headless'), [...ofCluster, ['original_dst_lb_config']]],
    ['headless TCP cluster', upstream(100, 'web-headless'), [...ofCluster, ['original_dst_lb_config']]],
    ['HTTP application', find('Cluster', 'local.80'), ofLocal],
    ['HTTP/2 application', find('Cluster', 'local.90.http2'), ofLocal],
    ['TCP application', find('Cluster', 'local.100'), ofLocal],
    ['passthrough cluster', find('Cluster', 'passthrough'), []],
    ...[...CLOSED_REASONS, 'sidecar-port'].map(closing),
    ['listener outbound', outbound, [['filter_chain_matcher'], ['filter_chains']]],
    ['listener inbound', inbound, [['filter_chains']]],
    ['listener metrics', find('Listener', 'metrics'), []],
  ];
  const common = new Map<string, JsonObject>();
  for (const [name, part, without] of parts) {
    const copy = structuredClone(part);
    for (const path of without) remove(copy, path);
    common.set(name, foldInside(copy as JsonObject, common));
  }
  return common;
}

function at(value: JsonValue, path: Path): JsonValue {
  let found: JsonValue | undefined = value;
  for (const step of path) found = (found as Record<string | number, JsonValue> | undefined)?.[step];
  assert.ok(found !== undefined, `nothing at ${path.join('.')}`);
  return found;
}

function remove(value: JsonValue, path: Path): void {
  const parent = at(value, path.slice(0, -1)) as Record<string | number, JsonValue>;
  delete parent[path.at(-1) ?? ''];
}
