/**
 * ProxyView → Envoy resources. Pure and memoised by part: for the same part object the same Resource object comes back, so
 * a part is encoded once, however many sidecars hold it.
 */
import type { InboundView, OutboundView, ProxyView } from '#mesh/view.ts';
import type { Resource } from '#xds/resource.ts';
import { localClusters, passthrough, upstreamCluster } from './clusters.ts';
import { inboundRoutes } from './inbound-routes.ts';
import { inboundListener } from './inbound.ts';
import { memo } from './memo.ts';
import { metricsListener } from './metrics.ts';
import { outboundRoutes } from './outbound-routes.ts';
import { outboundListener } from './outbound.ts';

/** Clusters, listeners and routes of one sidecar; endpoints and secrets travel apart. Names are unique by type. */
export function translateView(view: ProxyView): Resource[] {
  return [...outbound(view.outbound), ...inbound(view.inbound)];
}

const outbound = memo((view: OutboundView): readonly Resource[] => {
  const retriable = new Set(view.clusters.filter((it) => it.discovery === 'endpoints').map(({ name }) => name));
  return present([
    ...view.clusters.map(upstreamCluster),
    passthrough(view),
    outboundListener(view),
    ...view.httpPorts.map(({ routes }) => outboundRoutes(routes, retriable)),
  ]);
});

const inbound = memo((view: InboundView): readonly Resource[] =>
  present([...localClusters(view), inboundListener(view), metricsListener(view), ...view.chains.map(inboundRoutes)]),
);

function present(resources: readonly (Resource | undefined)[]): Resource[] {
  return resources.filter((it) => it !== undefined);
}

export { translateEndpoints } from './endpoints.ts';
export { type SidecarSecrets, translateRoots, translateSecrets } from './secrets.ts';
