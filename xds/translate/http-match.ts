/** The neutral conditions on a request as Envoy's route matches and RBAC permissions. */
import type { HttpMatch } from '#mesh/view.ts';
import { escapeRegex } from '#mesh/identity.ts';
import type { PermissionSchema } from '#xds/proto/gen/envoy/config/rbac/v3/rbac_pb.js';
import type {
  HeaderMatcherSchema,
  RouteMatchSchema,
} from '#xds/proto/gen/envoy/config/route/v3/route_components_pb.js';
import type { Init } from './encode.ts';

type HeaderMatcher = Init<typeof HeaderMatcherSchema>;
/** Narrower than what a route takes, so that a caller can add a header to it. */
export interface RequestMatch {
  readonly pathSpecifier: NonNullable<Init<typeof RouteMatchSchema>['pathSpecifier']>;
  readonly headers: HeaderMatcher[];
}
type Permission = Init<typeof PermissionSchema>;

/** Matches every request, `OPTIONS *` too. */
export const anyRequest: RequestMatch = { pathSpecifier: { case: 'prefix', value: '' }, headers: [] };

const ANY_PATH = '.*';

/** Where a match only steers (a split), the path is taken as it comes; where it guards, see `ambiguousPath`. */
export type Purpose = 'steer' | 'guard';

export function routeMatch(match: HttpMatch, purpose: Purpose): RequestMatch {
  return {
    pathSpecifier:
      match.pathRegex === ANY_PATH
        ? anyRequest.pathSpecifier
        : { case: 'safeRegex', value: { regex: match.pathRegex } },
    headers: headerMatchers(match, purpose),
  };
}

/** The same conditions as an RBAC permission, for a policy that is narrower than its route. */
export function permission(match: HttpMatch): Permission {
  const rules: Permission[] = headerMatchers(match, 'guard').map((value) => ({ rule: { case: 'header', value } }));
  if (match.pathRegex !== ANY_PATH) {
    rules.unshift({
      rule: { case: 'urlPath', value: { rule: { case: 'path', value: regexMatcher(match.pathRegex) } } },
    });
  }
  return rules.length === 0 ? { rule: { case: 'any', value: true } } : { rule: { case: 'andRules', value: { rules } } };
}

function headerMatchers(match: HttpMatch, purpose: Purpose): HeaderMatcher[] {
  const matchers: HeaderMatcher[] = [];
  if (match.methods.length > 0) matchers.push(oneOf(':method', match.methods));
  for (const { name, regex } of match.headers) matchers.push(header(name === 'host' ? ':authority' : name, regex));
  if (purpose === 'guard') {
    const forbidden = ambiguousPath(match.pathRegex);
    if (forbidden !== undefined) matchers.push({ ...header(':path', forbidden), invertMatch: true });
  }
  return matchers;
}

/** One value is compared as it is, which costs every request less than an expression does. */
function oneOf(name: string, values: readonly string[]): HeaderMatcher {
  const [only, ...others] = values;
  return only !== undefined && others.length === 0
    ? { name, headerMatchSpecifier: { case: 'stringMatch', value: { matchPattern: { case: 'exact', value: only } } } }
    : header(name, values.map(escapeRegex).join('|'));
}

/** RE2 full match on one header. */
export function header(name: string, regex: string): HeaderMatcher {
  return { name, headerMatchSpecifier: { case: 'stringMatch', value: regexMatcher(regex) } };
}

function regexMatcher(regex: string) {
  return { matchPattern: { case: 'safeRegex' as const, value: { regex } } };
}

/**
 * Spellings of a path that an application may read as another path than the one that was matched: an escaped slash or
 * backslash, a doubled slash, and a dot segment with a parameter (`/public/..;/admin`). Envoy resolves plain dot segments
 * before matching; these it would pass on. A condition on the path therefore never matches them, unless its own regex
 * speaks of them; a condition that accepts every path has nothing to protect. So applications that need such paths get them
 * untouched, and nobody slips past a path condition with them.
 *
 * Returns the RE2 of what must not match `:path` (query included), or undefined.
 */
function ambiguousPath(pathRegex: string): string | undefined {
  if (pathRegex === ANY_PATH) return undefined;
  const spellings = [
    { mark: /%2f/i, regex: '%2[fF]' },
    { mark: /%5c/i, regex: '%5[cC]' },
    { mark: /\/\//, regex: '//' },
    { mark: /;/, regex: '/[.][.]?;' },
  ].filter(({ mark }) => !mark.test(pathRegex));
  if (spellings.length === 0) return undefined;
  return `[^?#]*(?:${spellings.map(({ regex }) => regex).join('|')}).*`;
}
