/**
 * Filter chains for callers from outside the mesh, where the user opened a pod to them. They stand beside the mTLS chains and
 * leave their bytes alone, so that switching them drains nobody else. A caller has no identity here, so nothing is judged.
 */
import type { PlaintextPort } from '#mesh/view.ts';
import { FilterChainSchema, FilterSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import { connectionManager, router } from './connection-manager.ts';
import { duration, encode } from './encode.ts';
import { anyRequest } from './http-match.ts';
import { DENIED_HEADER, NOT_SENT_HEADER, PLAINTEXT_CHAIN_PREFIX, RESET_HEADER, localClusterName } from './names.ts';
import { tcpProxyTo } from './tcp-proxy.ts';
import { assemble, nested, tagOf } from './wire.ts';

const FILTERS = tagOf(FilterChainSchema, 'filters');

/** Of connection manager and TCP proxy alike, so that metrics tell this traffic apart. */
const STAT_PREFIX = 'plaintext';

const known = new Map<string, Uint8Array>();

/** The same for every pod with that port open, so at most four a port. */
export function plaintextChain({ targetPort, protocol }: PlaintextPort): Uint8Array {
  const key = `${targetPort} ${protocol}`;
  let bytes = known.get(key);
  if (bytes === undefined) {
    const cluster = localClusterName(targetPort, protocol);
    // What the TLS inspector found no TLS in. TLS that is not the mesh's is still refused.
    const filterChainMatch = { destinationPort: targetPort, transportProtocol: 'raw_buffer' };
    const filter =
      protocol === 'tcp'
        ? tcpProxyTo(STAT_PREFIX, [{ cluster, weight: 1 }])
        : [encode(FilterSchema, plaintextConnectionManager(cluster))];
    bytes = assemble(
      encode(FilterChainSchema, { name: `${PLAINTEXT_CHAIN_PREFIX}${targetPort}`, filterChainMatch }),
      nested(FILTERS, ...filter),
    );
    known.set(key, bytes);
  }
  return bytes;
}

/** Words of the mesh are no more believed in a stranger's mouth than in the application's. */
const meshHeaders = [DENIED_HEADER, NOT_SENT_HEADER, RESET_HEADER];

/** Without marks for the caller's sidecar on answers of our own: there is none. */
function plaintextConnectionManager(cluster: string) {
  return connectionManager({
    statPrefix: STAT_PREFIX,
    httpFilters: [router],
    routeSpecifier: {
      case: 'routeConfig',
      value: {
        name: STAT_PREFIX,
        virtualHosts: [
          {
            name: STAT_PREFIX,
            domains: ['*'],
            routes: [
              {
                match: anyRequest,

                requestHeadersToRemove: meshHeaders,
                responseHeadersToRemove: meshHeaders,
                action: {
                  case: 'route',
                  value: { clusterSpecifier: { case: 'cluster', value: cluster }, timeout: duration(0) },
                },
              },
            ],
          },
        ],
      },
    },
  });
}
