/** SMI policies. The parsers of `crds/` check and default them; an object that they refuse is a problem, never a crash. */
import {
  type ParseResult,
  parseHttpRouteGroup,
  parseTcpRoute,
  parseTrafficSplit,
  parseTrafficTarget,
} from '#crds/parse.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import type {
  AccountRef,
  HttpRouteGroupObject,
  Meta,
  TcpRouteObject,
  TrafficSplitObject,
  TrafficTargetObject,
} from '#mesh/objects.ts';
import type { Problem, ProblemKind } from '#mesh/problem.ts';
import { invalid } from './invalid.ts';
import { metaOf } from './meta.ts';

/** What is kept of a policy: what the compiler reads, or why it reads nothing. */
export type Parsed<T> =
  | { readonly ok: true; readonly object: T }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export function trafficTarget(object: KubeObject): Parsed<TrafficTargetObject> {
  return parsed('TrafficTarget', object, parseTrafficTarget(object), ({ spec }, meta) => {
    const ref = (account: { kind: string; name: string; namespace?: string | undefined }): AccountRef => ({
      kind: account.kind,
      name: account.name,
      namespace: account.namespace ?? meta.namespace,
    });
    return {
      ...meta,
      destination: ref(spec.destination),
      sources: (spec.sources ?? []).map(ref),
      rules: (spec.rules ?? []).map(({ kind, name, matches }) => ({ kind, name, matches: matches ?? [] })),
    };
  });
}

export function httpRouteGroup(object: KubeObject): Parsed<HttpRouteGroupObject> {
  return parsed('HTTPRouteGroup', object, parseHttpRouteGroup(object), ({ spec }, meta) => ({
    ...meta,
    matches: spec.matches.map(({ name, pathRegex, methods, headers }) => ({
      name,
      pathRegex,
      methods: methods === undefined || methods.length === 0 ? ['*'] : methods,
      headers,
    })),
  }));
}

export function tcpRoute(object: KubeObject): Parsed<TcpRouteObject> {
  return parsed('TCPRoute', object, parseTcpRoute(object), ({ spec }, meta) => ({
    ...meta,
    ports: spec.matches.ports,
  }));
}

export function trafficSplit(object: KubeObject): Parsed<TrafficSplitObject> {
  return parsed('TrafficSplit', object, parseTrafficSplit(object), ({ spec }, meta) => ({
    ...meta,
    service: spec.service,
    backends: spec.backends,
    matches: spec.matches ?? [],
  }));
}

function parsed<V, T>(
  kind: ProblemKind,
  object: KubeObject,
  result: ParseResult<V>,
  make: (value: V, meta: Meta) => T,
): Parsed<T> {
  if (result.ok) return { ok: true, object: make(result.value, metaOf(object)) };
  return { ok: false, problems: invalid(kind, object, result.errors, 'until then the whole object is ignored') };
}
