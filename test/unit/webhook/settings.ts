/** Injection settings for tests: the defaults of a MeshConfig whose spec is empty. */
import type { InjectSettings } from '#webhook/inject/settings.ts';

export function injectSettings(changes: Partial<InjectSettings> = {}): InjectSettings {
  return {
    meshName: 'osm',
    controlPlaneNamespace: 'osm-system',
    nativeSidecars: true,
    envoyImage: 'envoyproxy/envoy-distroless:v1.40.0',
    initImage: 'openservicemesh/osm:test',
    logLevel: 'error',
    privilegedInit: false,
    sidecarResources: undefined,
    preStopSleepSeconds: 0,
    drainSeconds: 5,
    scrape: false,
    localProxyMode: 'Localhost',
    outboundRangeExclusions: [],
    outboundRangeInclusions: [],
    outboundPortExclusions: [],
    inboundPortExclusions: [],
    interfaceExclusions: [],
    ...changes,
  };
}
