/** The policies as they are written, read without the compiler: a judge of who may call whom that shares no code with it. */
import type { AccountKey } from '#mesh/identity.ts';
import type { HttpRouteMatchObject, MeshObjects } from '#mesh/objects.ts';

export interface WrittenRequest {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** May this account call that one: over HTTP at all, with this request, or on a TCP target port? */
export function allowed(
  objects: MeshObjects,
  from: AccountKey,
  to: AccountKey,
  over: 'http' | WrittenRequest | number,
): boolean {
  if (objects.config.permissive) return true;
  return objects.trafficTargets.some(({ namespace, destination, sources, rules }) => {
    if (`${destination.namespace}/${destination.name}` !== to || destination.namespace !== namespace) return false;
    if (!sources.some((source) => `${source.namespace}/${source.name}` === from)) return false;
    return rules.some((rule) => {
      const named = (route: { namespace: string; name: string }): boolean =>
        route.namespace === namespace && route.name === rule.name;
      if (typeof over === 'number') {
        const route = rule.kind === 'TCPRoute' ? objects.tcpRoutes.find(named) : undefined;
        return route !== undefined && (route.ports.length === 0 || route.ports.includes(over));
      }
      const group = rule.kind === 'HTTPRouteGroup' ? objects.httpRouteGroups.find(named) : undefined;
      const meant = group?.matches.filter(({ name }) => rule.matches.length === 0 || rule.matches.includes(name)) ?? [];
      return meant
        .filter(({ pathRegex }) => !RE2_REFUSES.test(pathRegex))
        .some((match) => over === 'http' || meets(match, over));
    });
  });
}

/** Enough for the expressions of these tests. */
const RE2_REFUSES = /\(\?<?[=!]/;

function meets({ pathRegex, methods, headers }: HttpRouteMatchObject, request: WrittenRequest): boolean {
  const full = (regex: string, text: string): boolean => new RegExp(`^(?:${regex})$`).test(text);
  return (
    full(pathRegex, request.path) &&
    (methods.includes('*') || methods.includes(request.method)) &&
    Object.entries(headers).every(([name, regex]) => {
      const value = name === 'host' ? request.host : request.headers[name];
      return value !== undefined && full(regex, value);
    })
  );
}
