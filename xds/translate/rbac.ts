/** Who may pass: RBAC rules from neutral peers. */
import { spiffePattern } from '#mesh/identity.ts';
import type { InboundGrant, InboundRoute, Peers } from '#mesh/view.ts';
import { type PolicySchema, type PrincipalSchema, RBAC_Action } from '#xds/proto/gen/envoy/config/rbac/v3/rbac_pb.js';
import type { FilterSchema } from '#xds/proto/gen/envoy/config/listener/v3/listener_components_pb.js';
import {
  RBACPerRouteSchema,
  RBACSchema as HttpRbacSchema,
} from '#xds/proto/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import type { HttpFilterSchema } from '#xds/proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';
import { RBACSchema as NetworkRbacSchema } from '#xds/proto/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js';
import { type Init, pack } from './encode.ts';
import { permission } from './http-match.ts';
import { memo } from './memo.ts';

type Policy = Init<typeof PolicySchema>;
type Principal = Init<typeof PrincipalSchema>;

export const HTTP_RBAC = 'envoy.filters.http.rbac';

/** An ALLOW without a policy lets nobody through. It stands in every inbound chain: a route that forgets to allow denies. */
export const denyAllHttp: Init<typeof HttpFilterSchema> = {
  name: HTTP_RBAC,
  configType: { case: 'typedConfig', value: pack(HttpRbacSchema, { rules: { action: RBAC_Action.ALLOW } }) },
};

/**
 * The route's own rules, which replace the filter's: its peers, and those of overlapping routes where these match. All chains of
 * an account have the same routes.
 */
export const allowOnRoute = memo((route: InboundRoute) => {
  const policies: Record<string, Policy> = {};
  let count = 0;
  const add = (policy: Policy | undefined): void => {
    if (policy !== undefined) policies[`p${count++}`] = policy;
  };
  add(policyFor(route.allowed, { rule: { case: 'any', value: true } }));
  for (const other of route.alsoAllowed ?? []) add(policyFor(other.allowed, permission(other.match)));
  return pack(RBACPerRouteSchema, { rbac: { rules: { action: RBAC_Action.ALLOW, policies } } });
});

/** The rules of a virtual host for routes that have none of their own: one of the grants must let the request through. */
export const allowByGrants = memo((grants: readonly InboundGrant[]) => {
  const policies: Record<string, Policy> = {};
  for (const [index, { matches, allowed }] of grants.entries()) {
    const principals = principalsOf(allowed);
    if (principals.length > 0) policies[`p${index}`] = { permissions: matches.map(permission), principals };
  }
  return pack(RBACPerRouteSchema, { rbac: { rules: { action: RBAC_Action.ALLOW, policies } } });
});

/** For a route on which Envoy answers by itself. */
export const unguarded = pack(RBACPerRouteSchema, {});

/** For TCP: on top of the chain's own check of the certificate. */
export function allowConnection(peers: Peers): Init<typeof FilterSchema> {
  const policy = policyFor(peers, { rule: { case: 'any', value: true } });
  return {
    name: 'envoy.filters.network.rbac',
    configType: {
      case: 'typedConfig',
      value: pack(NetworkRbacSchema, {
        statPrefix: 'inbound',
        rules: { action: RBAC_Action.ALLOW, policies: policy === undefined ? {} : { p0: policy } },
      }),
    },
  };
}

function policyFor(peers: Peers, allowed: NonNullable<Policy['permissions']>[number]): Policy | undefined {
  const principals = principalsOf(peers);
  // A policy needs a principal; none at all is said by leaving the policy out.
  return principals.length === 0 ? undefined : { permissions: [allowed], principals };
}

function principalsOf(peers: Peers): Principal[] {
  switch (peers.kind) {
    case 'any-mesh-identity':
      return [{ identifier: { case: 'authenticated', value: {} } }];
    case 'accounts':
      return peers.accounts.map((account) => ({
        identifier: {
          case: 'authenticated',
          value: { principalName: { matchPattern: { case: 'safeRegex', value: { regex: spiffePattern(account) } } } },
        },
      }));
  }
}
