/** Calls as applications make them, by name, against a compiled mesh. */
import { type Call, evaluate, type Outcome, proxyOf } from '#mesh/check.ts';
import { compile } from '#mesh/compile.ts';
import type { MeshModel } from '#mesh/model.ts';
import type { MeshObjects, PodObject, ServiceObject } from '#mesh/objects.ts';

export function modelOf(objects: MeshObjects): MeshModel {
  return compile(objects).model;
}

export function problemKeys(objects: MeshObjects): string[] {
  return compile(objects).problems.map(({ key }) => key);
}

/** `answered`, `unavailable`, `passthrough`, or `<client|server>:<why>`. */
export function verdict(outcome: Outcome): string {
  return outcome.outcome === 'refused' ? `${outcome.where}:${outcome.why}` : outcome.outcome;
}

export interface Request {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly port?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An HTTP request to a service, by its `<name>.<namespace>` unless a host is given. */
export function requestTo(to: ServiceObject, request: Request = {}): Call {
  return {
    address: to.clusterIPs[0] ?? '',
    port: request.port ?? to.ports[0]?.port ?? 0,
    http: {
      host: request.host ?? `${to.name}.${to.namespace}`,
      method: request.method ?? 'GET',
      path: request.path ?? '/',
      headers: request.headers ?? {},
    },
  };
}

export function connectTo(to: ServiceObject, address = to.clusterIPs[0] ?? ''): Call {
  return { address, port: to.ports[0]?.port ?? 0 };
}

export function call(model: MeshModel, from: PodObject, what: Call): string {
  return verdict(evaluate(model, proxyOf(from), what));
}

/** Share of the calls that each account answers, e.g. `{ 'bookstore/bookstore': 0.5 }`. */
export function shares(model: MeshModel, from: PodObject, what: Call): Record<string, number> {
  const outcome = evaluate(model, proxyOf(from), what);
  const result: Record<string, number> = {};
  if (outcome.outcome !== 'answered') return result;
  for (const { account, share } of outcome.shares) result[account] = (result[account] ?? 0) + share;
  return result;
}
