/** What one client sees of the mesh: HTTP ports with their virtual hosts, TCP services, and addresses that are closed. */
import { destinationOf, directDestination, reachOf } from './destinations.ts';
import { addressHost, hostNames, withPorts } from './hosts.ts';
import type { AccountKey } from './identity.ts';
import { digest } from './intern.ts';
import { type Destination, memoised, type MeshModel, type MeshPort, type MeshService } from './model.ts';
import { compareText, sortedSet } from './order.ts';
import { ownerKey } from './owners.ts';
import { isHttp } from './protocols.ts';
import {
  CLOSED_REASONS,
  type ClosedReason,
  type ClosedTcp,
  type OutboundHttpPort,
  type OutboundTcpService,
  type OutboundView,
  type OutboundVirtualHost,
  type UpstreamCluster,
} from './view.ts';

/** All that an outbound view depends on, beside the model. */
export interface Client {
  readonly namespace: string;
  readonly account: AccountKey;
  readonly ipv6: boolean;
}

interface Draft {
  readonly hosts: Map<number, OutboundVirtualHost[]>;
  /** HTTP ports on which the name of a single pod is known: only there can two virtual hosts want one domain. */
  readonly podNamed: Set<number>;
  readonly closed: Closed;
  readonly tcp: OutboundTcpService[];
  readonly clusters: Map<string, UpstreamCluster>;
}

/** By port, then address. One that is closed twice keeps its first reason, in the order of services. */
type Closed = Map<number, Map<string, ClosedReason>>;

export function buildOutbound(model: MeshModel, client: Client): OutboundView {
  const draft: Draft = { hosts: new Map(), podNamed: new Set(), closed: new Map(), tcp: [], clusters: new Map() };
  for (const service of model.services.values()) {
    for (const port of service.ports) {
      if (isHttp(port.protocol)) addHttp(draft, model, client, { service, port });
      else addTcp(draft, model, client, { service, port });
    }
    // a port that another service over the same pods can use stays open for that one
    for (const port of service.closedPorts) {
      close(draft.closed, port, 'port-unusable', ownedAddresses(model, service, port));
    }
  }
  const view: Omit<OutboundView, 'key'> = {
    httpPorts: [...draft.hosts]
      .sort(([a], [b]) => a - b)
      .map(([port, hosts]) => httpPort(model, port, draft.podNamed.has(port) ? uniqueDomains(model, hosts) : hosts))
      .filter(({ addresses }) => addresses.length > 0), // headless services without a pod cannot be resolved
    tcpServices: draft.tcp.sort((a, b) => compareText(a.name, b.name)),
    closedTcp: closedTcp(draft.closed),
    unknownDestinations: model.settings.egress ? 'passthrough' : 'close',
    clusters: [...draft.clusters.values()].sort((a, b) => compareText(a.name, b.name)),
    ipv6: client.ipv6,
  };
  const key = `outbound:${digest(
    ...view.httpPorts.map((port) => `${port.port} ${port.addresses.join(' ')} ${port.routes.key}`),
    'tcp',
    ...view.tcpServices.map((service) => service.key),
    'closed',
    JSON.stringify(view.closedTcp),
    'clusters',
    ...view.clusters.map((cluster) => cluster.key),
    `${view.unknownDestinations} ${view.ipv6}`,
  )}`;
  return model.parts.intern(key, () => ({ key, ...view }));
}

interface Target {
  readonly service: MeshService;
  readonly port: MeshPort;
}

function addHttp(draft: Draft, model: MeshModel, client: Client, { service, port }: Target): void {
  const reach = reachOf(model, client.account, service, port);
  const at = `${service.key}|${port.port}|${reach}`;
  const local = client.namespace === service.namespace;
  const make = (): Destination => destinationOf(model, client.account, service, port);
  const destination = memoised(model.memo.destinations, at, make);
  const direct = (): Destination => directDestination(model, client.account, service, port);
  const hosts = memoised(model.memo.hosts, `${at}|${local}`, () =>
    virtualHosts(model, { service, port }, { local, destination, direct }),
  );
  const list = draft.hosts.get(port.port);
  if (list === undefined) draft.hosts.set(port.port, [...hosts]);
  else list.push(...hosts);
  if (service.hostnames.length > 0) draft.podNamed.add(port.port);
  if (destination.kind === 'forward') addClusters(draft, destination.clusters);
  if (hosts.length > 1) addClusters(draft, clustersOf(direct()));
}

function clustersOf(destination: Destination): readonly UpstreamCluster[] {
  return destination.kind === 'forward' ? destination.clusters : [];
}

interface HostContext {
  readonly local: boolean;
  readonly destination: Destination;
  /** Where the name of a single pod leads. */
  readonly direct: () => Destination;
}

/** One for the service; a second one where its pods' names lead elsewhere: a split divides calls to the service only. */
function virtualHosts(model: MeshModel, target: Target, context: HostContext): OutboundVirtualHost[] {
  const { service } = target;
  if (!model.splits.has(service.key) || service.hostnames.length === 0) {
    return [virtualHost(model, target, 'service and pods', context)];
  }
  const pods = { ...context, destination: context.direct() };
  return [virtualHost(model, target, 'service', context), virtualHost(model, target, 'pods', pods)];
}

/** Whose names a virtual host answers to. */
type Named = 'service' | 'pods' | 'service and pods';

function virtualHost(
  model: MeshModel,
  { service, port }: Target,
  named: Named,
  { local, destination }: HostContext,
): OutboundVirtualHost {
  const { clusterDomain } = model.settings;
  const addresses = ownedAddresses(model, service, port.port);
  const name = named === 'pods' ? `${service.key}#pods` : service.key;
  const action: OutboundVirtualHost['action'] =
    destination.kind === 'denied'
      ? { kind: 'deny', denial: { key: 'not-allowed', message: denialMessage(service) } }
      : { kind: 'forward', routes: destination.routes };
  // What the domains are made from stands for them: there are a dozen for each service.
  const key = `outbound-host:${digest(
    `${name} ${named} ${local} ${clusterDomain} ${port.port}`,
    ...addresses,
    'pods',
    ...service.hostnames,
    JSON.stringify(action),
  )}`;
  return model.parts.intern(key, () => {
    const scope = { namespace: service.namespace, clusterDomain, local };
    const names = named === 'pods' ? [] : [...hostNames(service.name, scope), ...addresses.map(addressHost)];
    if (named !== 'service') {
      for (const hostname of service.hostnames) names.push(...hostNames(`${hostname}.${service.name}`, scope));
    }
    return { key, name, domains: withPorts(names, [port.port]), action };
  });
}

/**
 * The caller is not named: it knows its own account, and a message of its own for each account would make what is denied
 * grow as accounts × services, where it is one part for the whole mesh.
 */
function denialMessage(service: MeshService): string {
  const accounts = service.accounts.join(', ');
  return (
    `the caller's service account may not call service ${service.key}: no TrafficTarget in namespace ${service.namespace} ` +
    `with an HTTPRouteGroup rule has it among its sources and ${accounts} as its destination`
  );
}

function httpPort(model: MeshModel, port: number, hosts: readonly OutboundVirtualHost[]): OutboundHttpPort {
  const virtualHosts = hosts.toSorted((a, b) => compareText(a.name, b.name));
  const name = `outbound.${port}`;
  const key = `outbound-routes:${digest(name, ...virtualHosts.map((host) => host.key))}`;
  return {
    port,
    addresses: httpAddresses(model, port),
    routes: model.parts.intern(key, () => ({ key, name, virtualHosts })),
  };
}

/**
 * Envoy refuses a route configuration with a domain in two virtual hosts, and with it all routes of the port. A pod's name
 * `a.b` in one namespace can equal service `a` of namespace `b`: the service keeps it.
 */
function uniqueDomains(model: MeshModel, hosts: readonly OutboundVirtualHost[]): OutboundVirtualHost[] {
  const taken = new Map<string, OutboundVirtualHost>();
  for (const host of hosts) {
    for (const domain of host.domains) {
      const other = taken.get(domain);
      if (other === undefined || ranksBefore(host, other, domain)) taken.set(domain, host);
    }
  }
  return hosts.flatMap((host) => {
    if (host.domains.every((domain) => taken.get(domain) === host)) return [host];
    const domains = host.domains.filter((domain) => taken.get(domain) === host);
    if (domains.length === 0) return [];
    const key = `outbound-host:${digest(host.key, ...domains)}`;
    return [model.parts.intern(key, () => ({ ...host, key, domains }))];
  });
}

function ranksBefore(a: OutboundVirtualHost, b: OutboundVirtualHost, domain: string): boolean {
  const own = (host: OutboundVirtualHost): boolean => domain.startsWith(host.name.split('/').reverse().join('.'));
  return own(a) && !own(b);
}

/** The same for every client: whether it may call is decided by the Host header, behind the address. */
function httpAddresses(model: MeshModel, port: number): readonly string[] {
  const { httpAddresses: known } = model.memo;
  // All ports in one pass: a pass for each would cost services × ports.
  if (known.size === 0) for (const [at, addresses] of addressesByPort(model)) known.set(at, sortedSet(addresses));
  return known.get(port) ?? [];
}

function addressesByPort(model: MeshModel): ReadonlyMap<number, readonly string[]> {
  const all = new Map<number, string[]>();
  for (const service of model.services.values()) {
    for (const { port, protocol } of service.ports) {
      if (!isHttp(protocol)) continue;
      const list = all.get(port) ?? [];
      all.set(port, list);
      list.push(...ownedAddresses(model, service, port));
    }
  }
  return all;
}

function addTcp(draft: Draft, model: MeshModel, client: Client, { service, port }: Target): void {
  const reach = reachOf(model, client.account, service, port);
  const destination = memoised(model.memo.destinations, `${service.key}|${port.port}|${reach}`, () =>
    destinationOf(model, client.account, service, port),
  );
  const owned = new Set(ownedAddresses(model, service, port.port));
  const mine = service.addresses.filter(({ address }) => owned.has(address));
  const backends = destination.kind === 'forward' ? (destination.routes[0]?.backends ?? []) : [];
  if (destination.kind === 'denied' || backends.length === 0) {
    close(draft.closed, port.port, destination.kind === 'denied' ? 'not-allowed' : 'no-backend', owned);
    return;
  }
  // behind one headless service stand several accounts: the address itself says which
  const divided = model.splits.has(service.key);
  const reachable = new Set(destination.clusters.flatMap((cluster) => cluster.accounts));
  const open = ({ account }: { account: AccountKey | undefined }): boolean =>
    divided || account === undefined || reachable.has(account);
  close(
    draft.closed,
    port.port,
    'not-allowed',
    mine.filter((entry) => !open(entry)).map(({ address }) => address),
  );
  const addresses = mine.filter(open).map(({ address }) => address);
  if (addresses.length === 0) return;
  addClusters(draft, destination.clusters);
  const name = `${service.key}:${port.port}`;
  const key = `outbound-tcp:${digest(name, ...addresses, JSON.stringify(backends))}`;
  draft.tcp.push(model.parts.intern(key, () => ({ key, name, port: port.port, addresses, backends })));
}

function ownedAddresses(model: MeshModel, service: MeshService, port: number): readonly string[] {
  return memoised(model.memo.owned, `${service.key}|${port}`, () =>
    service.addresses
      .map(({ address }) => address)
      .filter((address) => (model.owners.get(ownerKey(address, port)) ?? service.key) === service.key),
  );
}

function close(closed: Closed, port: number, reason: ClosedReason, addresses: Iterable<string>): void {
  const known = closed.get(port) ?? new Map<string, ClosedReason>();
  for (const address of addresses) if (!known.has(address)) known.set(address, reason);
  if (known.size > 0) closed.set(port, known);
}

function closedTcp(closed: Closed): ClosedTcp[] {
  const byPort = [...closed].sort(([a], [b]) => a - b);
  return byPort.flatMap(([port, addresses]) =>
    CLOSED_REASONS.flatMap((reason) => {
      const its = [...addresses].filter(([, why]) => why === reason).map(([address]) => address);
      return its.length === 0 ? [] : [{ port, reason, addresses: sortedSet(its) }];
    }),
  );
}

function addClusters(draft: Draft, clusters: readonly UpstreamCluster[]): void {
  for (const cluster of clusters) draft.clusters.set(cluster.name, cluster);
}
