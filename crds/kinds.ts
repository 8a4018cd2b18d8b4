/** Every kind that the mesh reads, in the order in which files and pages list them. */
import type { KindDefinition } from './schema/kind.ts';
import { egress } from './schema/egress.ts';
import { extensionService } from './schema/extension-service.ts';
import { httpRouteGroup } from './schema/http-route-group.ts';
import { ingressBackend } from './schema/ingress-backend.ts';
import { meshConfig } from './schema/mesh-config.ts';
import { meshRootCertificate } from './schema/mesh-root-certificate.ts';
import { retry } from './schema/retry.ts';
import { tcpRoute } from './schema/tcp-route.ts';
import { telemetry } from './schema/telemetry.ts';
import { trafficSplit } from './schema/traffic-split.ts';
import { trafficTarget } from './schema/traffic-target.ts';
import { upstreamTrafficSetting } from './schema/upstream-traffic-setting.ts';

export const kinds: readonly KindDefinition[] = [
  meshConfig,
  meshRootCertificate,
  extensionService,
  egress,
  ingressBackend,
  retry,
  upstreamTrafficSetting,
  telemetry,
  trafficTarget,
  httpRouteGroup,
  tcpRoute,
  trafficSplit,
];
