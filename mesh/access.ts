/**
 * TrafficTargets, HTTPRouteGroups and TCPRoutes → who may call whom.
 *
 * HTTP and TCP are granted apart: a target with HTTP rules opens no TCP port, one with TCP rules opens no HTTP service, and in
 * one with both neither narrows the other. A rule without `matches` means every match of its group, as the SMI specification
 * says (the original granted nothing).
 */
import { type AccountKey, accountKey } from './identity.ts';
import { buildMatch } from './matches.ts';
import type { Access, HttpGrant, MeshPort, TcpGrant } from './model.ts';
import type { AccountRef, HttpRouteGroupObject, MeshObjects, TcpRouteObject, TrafficTargetObject } from './objects.ts';
import { compareAge } from './order.ts';
import { type Problem, refOf } from './problem.ts';
import { isHttp } from './protocols.ts';
import type { HttpMatch } from './view.ts';

/** Matches of every group by name; one that is not usable is undefined, so that naming it is not "missing". */
export type MatchIndex = ReadonlyMap<string, ReadonlyMap<string, HttpMatch | undefined>>;

/** `<namespace>/<group>` → match name → match. */
export function indexMatches(groups: readonly HttpRouteGroupObject[], problems: Problem[]): MatchIndex {
  const index = new Map<string, Map<string, HttpMatch | undefined>>();
  for (const group of groups) {
    const matches = new Map<string, HttpMatch | undefined>();
    for (const [position, match] of group.matches.entries()) {
      matches.set(match.name, buildMatch(group, position, match, problems));
    }
    index.set(`${group.namespace}/${group.name}`, matches);
  }
  return index;
}

export function buildAccess(objects: MeshObjects, matches: MatchIndex, problems: Problem[]): Access {
  const http = new Map<AccountKey, HttpGrant[]>();
  const tcp = new Map<AccountKey, TcpGrant[]>();
  const tcpRoutes = new Map(objects.tcpRoutes.map((route) => [`${route.namespace}/${route.name}`, route]));
  for (const target of objects.trafficTargets.toSorted(compareAge)) {
    const destination = checkTarget(target, problems);
    if (destination === undefined) continue;
    const sources = targetSources(target, problems);
    const httpGrants = target.rules.flatMap((rule, index) =>
      rule.kind === 'HTTPRouteGroup' ? ruleMatches(target, index, matches, problems) : [],
    );
    const tcpGrants = target.rules.flatMap((rule, index) =>
      rule.kind === 'TCPRoute' ? rulePorts(target, index, tcpRoutes, problems) : [],
    );
    append(
      http,
      destination,
      httpGrants.map((match) => ({ match, sources })),
    );
    append(
      tcp,
      destination,
      tcpGrants.map((ports) => ({ ports, sources })),
    );
  }
  return objects.config.permissive ? { kind: 'permissive' } : { kind: 'policies', http, tcp };
}

/** True when `source` may call at least something of `destination` on this port. Which paths is the server's to decide. */
export function reaches(access: Access, source: AccountKey, destination: AccountKey, port: MeshPort): boolean {
  if (access.kind === 'permissive') return true;
  if (isHttp(port.protocol)) return access.http.get(destination)?.some(({ sources }) => sources.has(source)) ?? false;
  return access.tcp.get(destination)?.some((grant) => grant.sources.has(source) && opensPort(grant, port)) ?? false;
}

function opensPort(grant: TcpGrant, port: MeshPort): boolean {
  return grant.ports.length === 0 || port.targetPorts.some((target) => grant.ports.includes(target));
}

function append<T>(map: Map<AccountKey, T[]>, key: AccountKey, values: readonly T[]): void {
  if (values.length === 0) return;
  map.set(key, [...(map.get(key) ?? []), ...values]);
}

function checkTarget(target: TrafficTargetObject, problems: Problem[]): AccountKey | undefined {
  const { destination } = target;
  const report = (key: string, field: string, message: string, remedy: string): undefined => {
    problems.push({ key, object: refOf('TrafficTarget', target), field, message, remedy });
  };
  if (destination.kind !== 'ServiceAccount') {
    return report(
      'target-kind-unknown',
      'spec.destination.kind',
      `The destination is a ${destination.kind}; only a ServiceAccount can be one, so this target is ignored.`,
      'Set kind: ServiceAccount.',
    );
  }
  if (namespaceOf(destination, target) !== target.namespace) {
    return report(
      'target-namespace-differs',
      'spec.destination.namespace',
      `The destination is in namespace ${destination.namespace}, this target in ${target.namespace}: it is ignored.`,
      `Move the target to namespace ${destination.namespace}; only those who own the destination may open it.`,
    );
  }
  if (target.rules.length === 0) {
    return report(
      'target-without-rules',
      'spec.rules',
      'The target has no rules and allows nothing.',
      'Name a route group.',
    );
  }
  const unknown = target.rules.findIndex(({ kind }) => kind !== 'HTTPRouteGroup' && kind !== 'TCPRoute');
  if (unknown >= 0) {
    return report(
      'rule-kind-unknown',
      `spec.rules[${unknown}].kind`,
      `Rules of kind ${target.rules[unknown]?.kind} are not supported: this target is ignored.`,
      'Use HTTPRouteGroup or TCPRoute.',
    );
  }
  return accountKey(target.namespace, destination.name);
}

function targetSources(target: TrafficTargetObject, problems: Problem[]): ReadonlySet<AccountKey> {
  const sources = new Set<AccountKey>();
  for (const [index, source] of target.sources.entries()) {
    if (source.kind === 'ServiceAccount') {
      sources.add(accountKey(namespaceOf(source, target), source.name));
      continue;
    }
    problems.push({
      key: 'target-kind-unknown',
      object: refOf('TrafficTarget', target),
      field: `spec.sources[${index}].kind`,
      message: `Source "${source.name}" is a ${source.kind}; only a ServiceAccount can be one, so it is left out.`,
      remedy: 'Set kind: ServiceAccount.',
    });
  }
  return sources;
}

/** A reference without a namespace means the target's own. */
function namespaceOf(reference: AccountRef, target: TrafficTargetObject): string {
  return reference.namespace === '' ? target.namespace : reference.namespace;
}

function ruleMatches(target: TrafficTargetObject, index: number, all: MatchIndex, problems: Problem[]): HttpMatch[] {
  const rule = target.rules[index];
  if (rule === undefined) return [];
  const group = all.get(`${target.namespace}/${rule.name}`);
  if (group === undefined) {
    problems.push(missingRoute(target, index, rule));
    return [];
  }
  const names = rule.matches.length === 0 ? [...group.keys()] : rule.matches;
  return names.flatMap((name, position) => {
    if (!group.has(name)) {
      problems.push({
        key: 'match-missing',
        object: refOf('TrafficTarget', target),
        field: `spec.rules[${index}].matches[${position}]`,
        message: `HTTPRouteGroup ${target.namespace}/${rule.name} has no match "${name}": it allows nothing.`,
        remedy: 'Name a match that the group has, or leave matches out for all of them.',
      });
    }
    return group.get(name) ?? [];
  });
}

function rulePorts(
  target: TrafficTargetObject,
  index: number,
  routes: ReadonlyMap<string, TcpRouteObject>,
  problems: Problem[],
): (readonly number[])[] {
  const rule = target.rules[index];
  if (rule === undefined) return [];
  const route = routes.get(`${target.namespace}/${rule.name}`);
  if (route !== undefined) return [route.ports];
  problems.push(missingRoute(target, index, rule));
  return [];
}

function missingRoute(
  target: TrafficTargetObject,
  index: number,
  rule: { readonly kind: string; readonly name: string },
): Problem {
  return {
    key: 'route-missing',
    object: refOf('TrafficTarget', target),
    field: `spec.rules[${index}].name`,
    message: `There is no ${rule.kind} ${target.namespace}/${rule.name}: this rule allows nothing.`,
    remedy: `Create it in namespace ${target.namespace}, or correct the name.`,
  };
}
