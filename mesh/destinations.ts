/** Where a call of one client to one service port goes: the clusters it may reach, or why it may not. */
import { reaches } from './access.ts';
import type { AccountKey } from './identity.ts';
import { digest, digestOf } from './intern.ts';
import type { Destination, MeshModel, MeshPort, MeshService } from './model.ts';
import { isHttp } from './protocols.ts';
import type { UpstreamCluster, WeightedBackend } from './view.ts';

/** Time for the TCP connection to a peer sidecar. */
const CONNECT_TIMEOUT_MS = 5000;

/**
 * The accounts of a service, and of the backends of its split, that a client reaches on a port, as text. Two clients with the
 * same reach have the same destination.
 */
export function reachOf(model: MeshModel, source: AccountKey, service: MeshService, port: MeshPort): string {
  if (model.access.kind === 'permissive') return '*';
  const own = reachText(model, source, service, port);
  const split = model.splits.get(service.key);
  if (split === undefined) return own;
  const others = (split.backends.get(port.port) ?? []).map(({ service: key }) => {
    const backend = model.services.get(key);
    const at = backend?.ports.find((entry) => entry.port === port.port);
    return backend === undefined || at === undefined ? '' : reachText(model, source, backend, at);
  });
  return [own, ...others].join('|');
}

function reachText(model: MeshModel, source: AccountKey, service: MeshService, port: MeshPort): string {
  const accounts = reachableAccounts(model, source, service, port);
  return [...accounts, ...(openTargets(model, source, port, accounts) ?? [])].join(' ');
}

/** By the service's own name: its split if it has one, else its own pods. */
export function destinationOf(model: MeshModel, source: AccountKey, service: MeshService, port: MeshPort): Destination {
  const split = model.splits.get(service.key);
  if (split === undefined) return directDestination(model, source, service, port);
  const own = split.conditional ? directDestination(model, source, service, port) : undefined;
  const divided = dividedDestination(model, source, port.port, split.backends.get(port.port) ?? []);
  if (own === undefined) return divided;
  // conditions need HTTP; without any that can be used the split takes nothing away from the apex
  const matches = isHttp(port.protocol) ? split.matches : [];
  if (matches.length === 0 || divided.kind === 'denied') return own;
  const [route] = divided.routes;
  const conditional = matches.map((match) => ({ match, backends: route?.backends ?? [] }));
  const rest = own.kind === 'forward' ? own : NOTHING;
  return {
    kind: 'forward',
    routes: [...conditional, ...rest.routes],
    clusters: [...divided.clusters, ...rest.clusters],
  };
}

/** Its own pods, whatever a split says: also what the name of one pod of a StatefulSet means. */
export function directDestination(
  model: MeshModel,
  source: AccountKey,
  service: MeshService,
  port: MeshPort,
): Destination {
  const accounts = reachableAccounts(model, source, service, port);
  if (accounts.length === 0) return service.accounts.length === 0 ? NOTHING : { kind: 'denied' };
  const open = openTargets(model, source, port, accounts);
  const cluster = upstreamCluster(model, service, port, { accounts, open, split: false });
  return forward([{ cluster: cluster.name, weight: 100 }], [cluster]);
}

const NOTHING = forward([], []);

function forward(backends: readonly WeightedBackend[], clusters: readonly UpstreamCluster[]) {
  return { kind: 'forward', routes: [{ match: undefined, backends }], clusters } as const;
}

function dividedDestination(
  model: MeshModel,
  source: AccountKey,
  apexPort: number,
  shares: readonly { readonly service: string; readonly weight: number }[],
): Destination {
  const backends: WeightedBackend[] = [];
  const clusters: UpstreamCluster[] = [];
  let denied = 0;
  for (const { service: key, weight } of shares) {
    if (weight === 0) continue; // Envoy refuses a TCP backend of weight 0
    const service = model.services.get(key);
    const port = service?.ports.find((entry) => entry.port === apexPort);
    if (service === undefined || port === undefined) continue;
    const accounts = reachableAccounts(model, source, service, port);
    if (accounts.length === 0) {
      if (service.accounts.length > 0) denied += 1;
      continue;
    }
    const open = openTargets(model, source, port, accounts);
    const cluster = upstreamCluster(model, service, port, { accounts, open, split: true });
    backends.push({ cluster: cluster.name, weight });
    clusters.push(cluster);
  }
  return backends.length === 0 && denied > 0 ? { kind: 'denied' } : forward(backends, clusters);
}

function reachableAccounts(
  model: MeshModel,
  source: AccountKey,
  service: MeshService,
  port: MeshPort,
): readonly AccountKey[] {
  if (model.access.kind === 'permissive') return service.accounts;
  return service.accounts.filter((account) => reaches(model.access, source, account, port));
}

/**
 * `<account>|<target port>` of what the client may connect to, where that is not every target port of every account. A named
 * port may be several numbers, and a TCPRoute may open some of them: the endpoints of the others are not the client's to see.
 */
function openTargets(
  model: MeshModel,
  source: AccountKey,
  port: MeshPort,
  accounts: readonly AccountKey[],
): readonly string[] | undefined {
  if (isHttp(port.protocol) || port.targetPorts.length < 2) return undefined;
  const open = accounts.flatMap((account) =>
    port.targetPorts
      .filter((target) => reaches(model.access, source, account, { ...port, targetPorts: [target] }))
      .map((target) => `${account}|${target}`),
  );
  return open.length === accounts.length * port.targetPorts.length ? undefined : open;
}

interface Reach {
  readonly accounts: readonly AccountKey[];
  readonly open: readonly string[] | undefined;
  /** Whether it is a part of a split. */
  readonly split: boolean;
}

/**
 * A headless service keeps the address that the application resolved, unless it is a part of a split. A named port that
 * differs between its pods needs endpoints too, as one cluster overrides the port with one number.
 */
function upstreamCluster(
  model: MeshModel,
  service: MeshService,
  port: MeshPort,
  { accounts, open, split }: Reach,
): UpstreamCluster {
  const { tls, maxConnectionMs } = model.settings;
  const [targetPort] = port.targetPorts;
  const keepsAddress = service.object.headless && !split && port.targetPorts.length === 1;
  const discovery = keepsAddress ? 'original-destination' : 'endpoints';
  const variant = digest(discovery, ...accounts, ...(open ?? [])).slice(0, 12);
  const name = `${service.key}|${port.port}|${variant}`;
  const overridden = keepsAddress ? targetPort : undefined;
  // The name covers service, port, accounts and discovery; a plain text costs less than a hash of it would.
  const key = `cluster:${name}:${overridden} ${port.protocol} ${service.sni} ${digestOf(tls)} ${maxConnectionMs}`;
  return model.parts.intern(key, () => ({
    key,
    name,
    namespace: service.namespace,
    service: service.name,
    port: port.port,
    discovery,
    targetPort: overridden,
    protocol: port.protocol,
    sni: service.sni,
    accounts,
    ...(open === undefined ? {} : { open }),
    tls,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    maxConnectionMs,
  }));
}
