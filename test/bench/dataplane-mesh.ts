/**
 * Our pair of the data-plane benchmark: the configuration of two sidecars as the product makes it, from cluster objects by
 * `compile`, `viewFor` and `translateView`, under the bootstrap that the injector writes.
 *
 * It differs from a pod's in three things, none of which a request meets: resources stand in the file instead of coming by
 * xDS, listeners are bound to the addresses that iptables would have redirected from, and the bootstrap has no controller.
 */
import { compile } from '#mesh/compile.ts';
import { endpointsFor } from '#mesh/endpoints.ts';
import type { MeshObjects, PodObject } from '#mesh/objects.ts';
import { viewFor } from '#mesh/view-for.ts';
import type { Bootstrap } from '#test/support/envoy.ts';
import { staticBootstrap } from '#test/support/static-config.ts';
import { type SidecarSecrets, translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';
import { bootstrap } from '#webhook/inject/bootstrap.ts';
import { cluster, group, pod, port, proxy, service, SETTINGS, target } from '../unit/mesh/builders.ts';
import type { SocketAddress } from './dataplane-plain.ts';

/** Accounts of the two pods. */
export const CLIENT = 'shop/buyer';
export const SERVER = 'shop/store';

/** What the load asks for: a path that a policy names, by the service's name. */
export const REQUEST = { host: 'store.shop', path: '/books/1984' } as const;

/** Services on the same port that the client sees beside the one it calls. */
const NEIGHBOURS = 20;

export interface MeshPairOptions {
  /** Cluster IP and port of the service, where the application calls. */
  readonly service: string;
  /** Address of the server's pod. */
  readonly pod: string;
  /** Port of the service, and of the application on 127.0.0.1. */
  readonly port: number;
  readonly client: SidecarSecrets;
  readonly server: SidecarSecrets;
}

/** Bootstraps of the client's and of the server's sidecar. */
export function meshPair(options: MeshPairOptions): { readonly client: Bootstrap; readonly server: Bootstrap } {
  const buyer = pod('shop/buyer-0', 'buyer');
  const store = pod('shop/store-0', 'store', { ips: [options.pod] });
  const { model, problems } = compile(objects(options, buyer, store));
  if (problems.length > 0) throw new Error(`the benchmark's mesh has problems: ${JSON.stringify(problems)}`);
  const sidecar = (of: PodObject, secrets: SidecarSecrets, listener: 'inbound' | 'outbound', at: string): Bootstrap => {
    const view = viewFor(model, proxy(of));
    const endpoints = view.outbound.clusters.map((it) => translateEndpoints(endpointsFor(model, it, '')));
    const other = listener === 'inbound' ? 'outbound' : 'inbound';
    const resources = [...translateView(view), ...endpoints].filter(({ name }) => name !== other);
    return underInjectedBootstrap(
      staticBootstrap(resources, {
        listenOn: { [listener]: [{ address: at, port: options.port } satisfies SocketAddress] },
        secrets: translateSecrets(secrets),
      }),
    );
  };
  return {
    client: sidecar(buyer, options.client, 'outbound', options.service),
    server: sidecar(store, options.server, 'inbound', options.pod),
  };
}

/** SMI mode, where requests are guarded by path, method and account. */
function objects(options: MeshPairOptions, buyer: PodObject, store: PodObject): MeshObjects {
  const http = [port(options.port, { name: 'http' })];
  const neighbours = Array.from({ length: NEIGHBOURS }, (_, index) => `neighbour-${index}`);
  const pods = neighbours.map((name) => pod(`shop/${name}-0`, name));
  return cluster({
    config: { ...SETTINGS, permissive: false, egress: true },
    services: [
      service('shop/store', { clusterIPs: [options.service], ports: http }),
      ...neighbours.map((name) => service(`shop/${name}`, { ports: http })),
    ],
    pods: [buyer, store, ...pods],
    httpRouteGroups: [
      group(
        'shop/store',
        { name: 'books', pathRegex: '/books/.*', methods: ['GET'] },
        { name: 'buy', pathRegex: '/buy(/.*)?', methods: ['POST'] },
      ),
    ],
    trafficTargets: [
      target('shop/store', [CLIENT, 'shop/reader'], SERVER, 'HTTPRouteGroup/store'),
      ...neighbours.map((name) => target(`shop/${name}`, [CLIENT], `shop/${name}`, 'HTTPRouteGroup/store')),
    ],
  });
}

/** What the injector's bootstrap adds (deferred statistics, runtime), with the resources that xDS would bring. */
function underInjectedBootstrap(resources: Bootstrap): Bootstrap {
  const {
    dynamic_resources: _xds,
    admin: _admin,
    ...rest
  } = bootstrap({ controlPlaneNamespace: 'osm-system', probes: [] });
  return { ...rest, ...resources };
}
