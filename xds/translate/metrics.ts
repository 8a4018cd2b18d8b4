/** The listener `metrics`: Envoy's statistics for Prometheus, and nothing else of its admin interface. */
import type { InboundView } from '#mesh/view.ts';
import { ListenerSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_pb.js';
import type { Resource } from '#xds/resource.ts';
import { connectionManager, router } from './connection-manager.ts';
import { resource } from './encode.ts';
import { header } from './http-match.ts';
import { listenOn } from './listener.ts';
import { memo } from './memo.ts';
import { ADMIN_CLUSTER, METRICS_PORT } from './names.ts';

export const metricsListener = memo((view: InboundView): Resource | undefined =>
  view.metrics ? listeners[view.ipv6 ? 'dual' : 'ipv4'] : undefined,
);

const listeners = { ipv4: metricsOn(false), dual: metricsOn(true) };

function metricsOn(ipv6: boolean): Resource {
  return resource(ListenerSchema, 'metrics', {
    name: 'metrics',
    ...listenOn(METRICS_PORT, ipv6),
    filterChains: [
      {
        name: 'metrics',
        filters: [
          connectionManager({
            statPrefix: 'metrics',
            httpFilters: [router],
            routeSpecifier: {
              case: 'routeConfig',
              value: {
                name: 'metrics',
                virtualHosts: [
                  {
                    name: 'metrics',
                    domains: ['*'],
                    routes: [
                      {
                        // The exact path: a prefix would also let `/stats/prometheus/../quitquitquit` near the admin interface.
                        match: {
                          pathSpecifier: { case: 'path', value: '/stats/prometheus' },
                          headers: [header(':method', 'GET|HEAD')],
                        },
                        action: {
                          case: 'route',
                          value: { clusterSpecifier: { case: 'cluster', value: ADMIN_CLUSTER } },
                        },
                      },
                    ],
                  },
                ],
              },
            },
          }),
        ],
      },
    ],
  });
}
