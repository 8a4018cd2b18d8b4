/**
 * What would happen to a call, judged from views alone: the client's sidecar first, then the sidecar of a pod that it would
 * reach. For tests, and for whoever asks why a call fails.
 */
import { endpointsFor } from './endpoints.ts';
import { regexMatches } from './matches.ts';
import type { MeshModel } from './model.ts';
import type { PodObject } from './objects.ts';
import type { AccountKey } from './identity.ts';
import type {
  HttpMatch,
  InboundRoute,
  InboundRoutes,
  InboundView,
  OutboundView,
  Peers,
  ProxyPod,
  UpstreamCluster,
  WeightedBackend,
} from './view.ts';
import { viewFor } from './view-for.ts';

/** A connection to an address; with `http`, a request on it. */
export interface Call {
  readonly address: string;
  readonly port: number;
  readonly http?: HttpCall;
}

export interface HttpCall {
  /** As the Host header says it. */
  readonly host: string;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** `why` is the key of the denial where there is one. */
export type Outcome =
  | { readonly outcome: 'answered'; readonly shares: readonly Share[] }
  | { readonly outcome: 'refused'; readonly where: 'client' | 'server'; readonly why: string; readonly message: string }
  | { readonly outcome: 'unavailable'; readonly why: string }
  | { readonly outcome: 'passthrough' };

/** How much of such calls each pod's account answers, of 1. */
export interface Share {
  readonly service: string;
  readonly account: AccountKey;
  readonly share: number;
}

export function evaluate(model: MeshModel, from: ProxyPod, call: Call): Outcome {
  const client = evaluateClient(viewFor(model, from).outbound, call);
  if (client.outcome !== 'sent') return client;
  const total = client.backends.reduce((sum, { weight }) => sum + weight, 0);
  const shares: Share[] = [];
  for (const { cluster, weight } of client.backends) {
    const servers = serversOf(model, cluster, from.zone, call);
    if (servers.length === 0) return { outcome: 'unavailable', why: `${cluster.name} has no ready endpoint` };
    for (const { pod, port } of servers) {
      const account = pod.account;
      if (!cluster.accounts.includes(account))
        return { outcome: 'unavailable', why: `${account} is not expected there` };
      const { inbound } = viewFor(model, proxyOf(pod));
      const server = evaluateServer(inbound, { ...call, port, sni: cluster.sni, source: from.account });
      if (server.outcome === 'refused') return server;
      shares.push({ service: cluster.service, account, share: weight / total / servers.length });
    }
  }
  return { outcome: 'answered', shares };
}

type ClientOutcome =
  | Exclude<Outcome, { outcome: 'answered' }>
  | {
      readonly outcome: 'sent';
      readonly backends: readonly { readonly cluster: UpstreamCluster; readonly weight: number }[];
    };

/** What the client's sidecar does with a call. */
export function evaluateClient(view: OutboundView, call: Call): ClientOutcome {
  const at = ({ port, addresses }: { port: number; addresses: readonly string[] }): boolean =>
    port === call.port && addresses.includes(call.address);
  const sendTo = (backends: readonly WeightedBackend[]): ClientOutcome => {
    if (backends.length === 0) return { outcome: 'unavailable', why: 'nothing stands behind the service' };
    const found = backends.flatMap(({ cluster: name, weight }) => {
      const cluster = view.clusters.find((entry) => entry.name === name);
      return cluster === undefined ? [] : [{ cluster, weight }];
    });
    if (found.length < backends.length) return { outcome: 'unavailable', why: 'a cluster is missing' };
    return { outcome: 'sent', backends: found };
  };
  const tcp = view.tcpServices.find(at);
  if (tcp !== undefined) return sendTo(tcp.backends);
  if (view.closedTcp.some(at)) return refused('client', 'closed', 'the address is closed to this client');
  const http = view.httpPorts.find(at);
  if (http === undefined) {
    if (view.unknownDestinations === 'passthrough') return { outcome: 'passthrough' };
    return refused('client', 'closed', 'the destination is not the mesh’s, and egress is off');
  }
  const { http: request } = call;
  if (request === undefined) return { outcome: 'unavailable', why: 'the port speaks HTTP' };
  const host = http.routes.virtualHosts.find(({ domains }) => domains.includes(request.host.toLowerCase()));
  if (host === undefined) return refused('client', 'no-such-host', `no service of this port is called ${request.host}`);
  if (host.action.kind === 'deny') return refused('client', host.action.denial.key, host.action.denial.message);
  const route = host.action.routes.find(({ match }) => match === undefined || matchesRequest(match, request));
  return sendTo(route?.backends ?? []);
}

/** A connection that arrives at a server's sidecar, on the pod's own port. */
export interface ArrivingCall extends Call {
  readonly sni: string;
  readonly source: AccountKey;
}

/** What the server's sidecar does with a call. */
export function evaluateServer(view: InboundView, call: ArrivingCall): { outcome: 'passed' } | Refused {
  const chain = view.chains.find(({ targetPort, sni }) => targetPort === call.port && sni === call.sni);
  if (chain === undefined) return refused('server', 'no-chain', `nothing listens on ${call.port} as ${call.sni}`);
  const { policy } = chain;
  if (policy.kind === 'tcp') {
    if (allows(policy.allowed, call.source)) return { outcome: 'passed' };
    return refused('server', 'not-allowed', `${call.source} may not connect to ${chain.name}`);
  }
  const { http: request } = call;
  const known = request !== undefined && policy.routes.domains.includes(request.host.toLowerCase());
  const route = known ? policy.routes.routes.find(({ match }) => matchesRequest(match, request)) : undefined;
  if (route === undefined || request === undefined)
    return refused('server', 'no-route', 'no route matches the request');
  if (letsThrough(policy.routes, route, call.source, request)) return { outcome: 'passed' };
  return refused('server', route.denial.key, route.denial.message);
}

function letsThrough({ grants }: InboundRoutes, route: InboundRoute, source: AccountKey, request: HttpCall): boolean {
  if (grants !== undefined) {
    return grants.some(
      ({ matches, allowed }) => allows(allowed, source) && matches.some((match) => matchesRequest(match, request)),
    );
  }
  const also = (route.alsoAllowed ?? []).some(
    ({ match, allowed }) => allows(allowed, source) && matchesRequest(match, request),
  );
  return allows(route.allowed, source) || also;
}

/** Whether a request meets the conditions. */
export function matchesRequest(match: HttpMatch, request: HttpCall): boolean {
  const header = (name: string): string | undefined => (name === 'host' ? request.host : request.headers?.[name]);
  return (
    regexMatches(match.pathRegex, request.path) &&
    (match.methods.length === 0 || match.methods.includes(request.method)) &&
    match.headers.every(({ name, regex }) => {
      const value = header(name);
      return value !== undefined && regexMatches(regex, value);
    })
  );
}

function allows(peers: Peers, account: AccountKey): boolean {
  return peers.kind === 'any-mesh-identity' || peers.accounts.includes(account);
}

type Refused = Extract<Outcome, { outcome: 'refused' }>;

function refused(where: Refused['where'], why: string, message: string): Refused {
  return { outcome: 'refused', where, why, message };
}

function serversOf(
  model: MeshModel,
  cluster: UpstreamCluster,
  zone: string,
  call: Call,
): { pod: PodObject; port: number }[] {
  if (cluster.discovery === 'original-destination') {
    const pod = [...model.pods.values()].find(({ ips }) => ips.includes(call.address));
    return pod === undefined ? [] : [{ pod, port: cluster.targetPort ?? call.port }];
  }
  const [first] = endpointsFor(model, cluster, zone).localities;
  const preferred = endpointsFor(model, cluster, zone).localities.filter(
    ({ priority }) => priority === first?.priority,
  );
  return preferred.flatMap(({ endpoints }) =>
    endpoints.flatMap(({ port, workload }) => {
      const pod = model.pods.get(`${workload.namespace}/${workload.pod}`);
      return pod === undefined ? [] : [{ pod, port }];
    }),
  );
}

export function proxyOf(pod: PodObject): ProxyPod {
  return { namespace: pod.namespace, name: pod.name, account: pod.account, ips: pod.ips, zone: '' };
}
