import type { Static } from 'typebox';
import { age, type KindDefinition } from './kind.ts';
import { policyStatus } from './common.ts';
import {
  descriptorEntry,
  globalHttpRateLimit,
  globalTcpRateLimit,
  localHttpRateLimit,
  localTcpRateLimit,
} from './rate-limit.ts';
import { duration, integer, list, name, object, optional } from './kit.ts';

const limit = (description: string) => optional(integer(`${description}; no limit where left out.`, { minimum: 0 }));

const spec = object('How clients use a host, and how much of it.', {
  host: name('The host, `<service>.<namespace>.svc.cluster.local`. One setting a host.'),
  connectionSettings: optional(
    object('Limits of each client’s connections.', {
      tcp: optional(
        object('For every connection.', {
          maxConnections: limit('The most connections'),
          connectTimeout: duration('How long a connection may take.', { default: '5s' }),
        }),
      ),
      http: optional(
        object('For HTTP.', {
          maxRequests: limit('The most requests at a time'),
          maxRequestsPerConnection: limit('The most requests a connection'),
          maxPendingRequests: limit('The most requests that wait for a connection'),
          maxRetries: limit('The most retries at a time'),
        }),
      ),
    }),
  ),
  rateLimit: optional(
    object('Limits at the service.', {
      local: optional(
        object('Counted by each pod for itself.', {
          tcp: optional(localTcpRateLimit),
          http: optional(localHttpRateLimit),
        }),
      ),
      global: optional(
        object('Counted by a rate limit service.', {
          tcp: optional(globalTcpRateLimit),
          http: optional(globalHttpRateLimit),
        }),
      ),
    }),
  ),
  httpRoutes: optional(
    list(
      object('Limits of one route.', {
        path: name('The route’s `pathRegex`, letter by letter; `.*` in permissive mode.'),
        rateLimit: optional(
          object('Limits in place of the host’s.', {
            local: optional(localHttpRateLimit),
            global: optional(
              object('Descriptors for the rate limit service.', { descriptors: list(descriptorEntry, 'Descriptors.') }),
            ),
          }),
        ),
      }),
      'Limits of single routes.',
    ),
  ),
});

export type UpstreamTrafficSettingSpec = Static<typeof spec>;

export const upstreamTrafficSetting = {
  group: 'policy.openservicemesh.io',
  kind: 'UpstreamTrafficSetting',
  plural: 'upstreamtrafficsettings',
  shortNames: ['upstreamtrafficsetting'],
  description: 'Circuit breaking and rate limits of a host.',
  versions: [{ name: 'v1alpha1' }],
  spec,
  status: policyStatus,
  columns: [
    { name: 'Host', type: 'string', jsonPath: '.spec.host', priority: 1 },
    { name: 'Status', type: 'string', jsonPath: '.status.currentStatus' },
    age,
  ],
  notYet: true,
} as const satisfies KindDefinition;
