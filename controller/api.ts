/**
 * The HTTP API on 9092, over TLS with the serving certificate: callers send the token that they use for the API server,
 * which must not travel in the clear. A Role grants `get` on `meshconfigs/problems`, `meshconfigs/proxies` and
 * `meshconfigs/debug` in the control plane's namespace.
 */
import type { Server } from 'node:https';
import Fastify, { type FastifyInstance } from 'fastify';
import { apiVersionOf } from '#kubernetes/kinds.ts';
import type { Problem } from '#mesh/problem.ts';
import type { ProxySnapshot } from '#xds/cache/snapshot.ts';
import type { TypeStatus } from '#xds/server/stream.ts';
import type { ApiPart, Caller } from './reviews.ts';
import { subjects } from './subjects.ts';

/** A connected sidecar, as the API shows it. */
export interface ProxyInfo {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly serviceAccount: string;
  /** RFC 3339. */
  readonly connectedAt: string;
  readonly synced: boolean;
  readonly types: readonly TypeStatus[];
}

export interface ApiOptions {
  readonly tls: { readonly cert: Buffer; readonly key: Buffer };
  /** Who a token belongs to; undefined when the API server does not know it. */
  readonly caller: (token: string) => Promise<Caller | undefined>;
  readonly mayGet: (caller: Caller, part: ApiPart) => Promise<boolean>;
  readonly problems: () => readonly Problem[];
  readonly proxies: () => readonly ProxyInfo[];
  /** What a connected sidecar should have; undefined when it is not connected here. */
  readonly snapshot: (namespace: string, pod: string) => ProxySnapshot | undefined;
}

const NOT_HERE = 'no such sidecar is connected to this controller; it may be connected to another replica';

export function createApi(options: ApiOptions): FastifyInstance<Server> {
  const api = Fastify({ https: { ...options.tls, minVersion: 'TLSv1.2' }, logger: false });

  api.addHook('onRequest', async (request, reply) => {
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (token === undefined)
      return reply.code(401).send(failure('token-missing', 'send your Kubernetes token: Authorization: Bearer …'));
    const caller = await options.caller(token);
    if (caller === undefined)
      return reply.code(401).send(failure('token-refused', 'the API server does not know this token'));
    const part = partOf(request.routeOptions.url);
    if (part !== undefined && !(await options.mayGet(caller, part))) {
      const message = `${caller.username} may not see this: a Role in the control plane's namespace must allow get on meshconfigs/${part}`;
      return reply.code(403).send(failure('not-allowed', message));
    }
    return undefined;
  });

  api.get('/api/problems', () => ({ problems: options.problems().map(withVersion) }));
  api.get('/api/proxies', () => ({ proxies: options.proxies() }));
  api.get<{ Params: { namespace: string; pod: string } }>('/debug/config/:namespace/:pod', async (request, reply) => {
    const snapshot = options.snapshot(request.params.namespace, request.params.pod);
    if (snapshot === undefined) return reply.code(404).send(failure('not-connected', NOT_HERE));
    // Loads most of Envoy's API: only when somebody asks.
    const { dump } = await import('./dump.ts');
    return dump(snapshot);
  });
  return api;
}

/** The right that a route needs; undefined for a path that is not there. */
function partOf(route: string | undefined): ApiPart | undefined {
  switch (route) {
    case '/api/problems':
      return 'problems';
    case '/api/proxies':
      return 'proxies';
    case undefined:
      return undefined;
    default:
      return 'debug';
  }
}

/** With the `apiVersion`, so that whoever reads it can ask for the object. */
function withVersion(problem: Problem): object {
  const { kind } = problem.object;
  return { ...problem, object: { apiVersion: apiVersionOf(subjects[kind].kind), ...problem.object } };
}

function failure(key: string, message: string): { key: string; message: string } {
  return { key, message };
}
