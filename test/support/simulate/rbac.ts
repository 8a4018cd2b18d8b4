// oxlint-disable typescript/switch-exhaustiveness-check -- of what Envoy knows, the mesh writes a few cases; any other throws
/** Envoy's RBAC engine: is there a policy whose permission and principal both match? */
import type { Permission, Policy, Principal, RBAC } from '#xds/proto/gen/envoy/config/rbac/v3/rbac_pb.js';
import { RBAC_Action } from '#xds/proto/gen/envoy/config/rbac/v3/rbac_pb.js';
import { matchesHeader, matchesText, pathOf, type SeenRequest } from './matching.ts';

/** What is known of a caller and its call. `request` is undefined on a TCP connection. */
export interface RbacInput {
  /** URI SAN of the verified certificate; undefined without one. */
  readonly peer: string | undefined;
  readonly request: SeenRequest | undefined;
}

/** Without rules the filter is not there. */
export function passes(rules: RBAC | undefined, input: RbacInput): boolean {
  if (rules === undefined) return true;
  const matched = Object.values(rules.policies).some((policy) => matchesPolicy(policy, input));
  switch (rules.action) {
    case RBAC_Action.ALLOW:
      return matched;
    case RBAC_Action.DENY:
      return !matched;
    default:
      throw new Error(`the simulation does not know the RBAC action ${rules.action}`);
  }
}

function matchesPolicy({ permissions, principals }: Policy, input: RbacInput): boolean {
  return (
    permissions.some((permission) => permits(permission, input)) &&
    principals.some((principal) => isPrincipal(principal, input))
  );
}

function permits({ rule }: Permission, input: RbacInput): boolean {
  switch (rule.case) {
    case 'any':
      return rule.value;
    case 'andRules':
      return rule.value.rules.every((inner) => permits(inner, input));
    case 'orRules':
      return rule.value.rules.some((inner) => permits(inner, input));
    case 'notRule':
      return !permits(rule.value, input);
    case 'header':
      return input.request !== undefined && matchesHeader(rule.value, input.request);
    case 'urlPath': {
      const path = rule.value.rule.case === 'path' ? rule.value.rule.value : undefined;
      if (path === undefined) throw new Error('a path rule without a path');
      return input.request !== undefined && matchesText(path, pathOf(input.request));
    }
    default:
      throw new Error(`the simulation does not know the permission ${rule.case}`);
  }
}

function isPrincipal({ identifier }: Principal, input: RbacInput): boolean {
  switch (identifier.case) {
    case 'any':
      return identifier.value;
    case 'authenticated': {
      if (input.peer === undefined) return false;
      const name = identifier.value.principalName;
      return name === undefined || matchesText(name, input.peer);
    }
    default:
      throw new Error(`the simulation does not know the principal ${identifier.case}`);
  }
}
