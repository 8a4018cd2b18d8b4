/** What one pod accepts: a chain for each target port and server name of each of its services. */
import { hostNames, addressHost, withPorts } from './hosts.ts';
import { httpPermissions, tcpPeers } from './permissions.ts';
import { digest, digestOf } from './intern.ts';
import { memoised, type MeshModel, type MeshPort, type MeshService, type NameKey } from './model.ts';
import type { PodObject } from './objects.ts';
import { compareText, sortedNumbers } from './order.ts';
import { isHttp } from './protocols.ts';
import type { InboundChain, InboundView, ProxyPod } from './view.ts';

export function buildInbound(model: MeshModel, pod: ProxyPod, object: PodObject | undefined): InboundView {
  const { settings } = model;
  const [ip = '127.0.0.1'] = pod.ips;
  const loopback = ip.includes(':') ? '::1' : '127.0.0.1';
  const chains = object === undefined ? [] : podChains(model, pod, object);
  const view: Omit<InboundView, 'key'> = {
    chains,
    plaintext: model.plaintext.get(`${pod.namespace}/${pod.name}`) ?? [],
    metrics: object?.metrics ?? false,
    applicationAddress: settings.localProxyMode === 'PodIP' ? ip : loopback,
    applicationIdleTimeoutMs: settings.applicationIdleTimeoutMs,
    tls: settings.tls,
    maxConnectionMs: settings.maxConnectionMs,
    ipv6: pod.ips.some((address) => address.includes(':')),
  };
  const key = `inbound:${digest(...chains.map((chain) => chain.key), JSON.stringify({ ...view, chains: [] }))}`;
  return model.parts.intern(key, () => ({ key, ...view }));
}

function podChains(model: MeshModel, pod: ProxyPod, object: PodObject): InboundChain[] {
  const chains = new Map<string, InboundChain>();
  for (const key of model.servicesOf.get(`${pod.namespace}/${pod.name}`) ?? []) {
    const service = model.services.get(key);
    if (service === undefined) continue;
    const byTarget = Map.groupBy(
      service.ports.flatMap((port) => podTargets(port, object).map((target) => ({ target, port }))),
      ({ target }) => target,
    );
    for (const [targetPort, entries] of byTarget) {
      const [first] = entries;
      if (first === undefined) continue;
      const ports = entries.map(({ port }) => port);
      const chain = buildChain(model, pod, { service, targetPort, ports });
      chains.set(chain.name, chain);
    }
  }
  return [...chains.values()].sort((a, b) => compareText(a.name, b.name));
}

/** The pod's own number for a named port; what its service's endpoints say where the pod does not name it. */
export function podTargets(port: MeshPort, object: PodObject): readonly number[] {
  if (typeof port.targetPort === 'number') return [port.targetPort];
  const own = object.namedPorts[port.targetPort];
  return own === undefined ? port.targetPorts : [own];
}

interface ChainDraft {
  readonly service: MeshService;
  readonly targetPort: number;
  /** Ports of the service that lead to the target port; never empty. */
  readonly ports: readonly MeshPort[];
}

function buildChain(model: MeshModel, pod: ProxyPod, draft: ChainDraft): InboundChain {
  const { service, targetPort, ports } = draft;
  const name = `${service.key}.${targetPort}`;
  const protocol = ports[0]?.protocol ?? 'tcp';
  const base = { name, targetPort, sni: service.sni, protocol };
  if (!isHttp(protocol)) {
    const allowed = tcpPeers(model.access, pod.account, targetPort);
    const key = `inbound-chain:${digest(JSON.stringify(base), JSON.stringify(allowed))}`;
    return model.parts.intern(key, () => ({ key, ...base, policy: { kind: 'tcp', allowed } }));
  }
  const routes = buildRoutes(model, pod, draft, name);
  const key = `inbound-chain:${digest(JSON.stringify(base), routes.key)}`;
  return model.parts.intern(key, () => ({ key, ...base, policy: { kind: 'http', routes } }));
}

function buildRoutes(model: MeshModel, pod: ProxyPod, { service, ports }: ChainDraft, chain: string) {
  const name = `inbound.${chain}`;
  const numbers = sortedNumbers(ports.map(({ port }) => port));
  const apexes = (model.apexesOf.get(service.key) ?? []).flatMap((apex) => usedApex(model, apex, service.key, numbers));
  const hosts = [service, ...apexes].flatMap((entry) => serviceHosts(model, entry, pod));
  const domains = [...new Set(withPorts(hosts, numbers))];
  const permissions = memoised(model.memo.permissions, pod.account, () => httpPermissions(model.access, pod.account));
  const key = `inbound-routes:${digest(name, ...domains, digestOf(permissions))}`;
  return model.parts.intern(key, () => ({ key, name, domains, ...permissions }));
}

/** The apex, when its split sends one of these ports here. */
function usedApex(model: MeshModel, apex: NameKey, backend: NameKey, ports: readonly number[]): MeshService[] {
  const split = model.splits.get(apex);
  const service = model.services.get(apex);
  if (split === undefined || service === undefined || apex === backend) return [];
  const used = ports.some((port) => split.backends.get(port)?.some((entry) => entry.service === backend));
  return used ? [service] : [];
}

/** Of a headless service the pod answers to its own addresses and name only, so that its routes do not change with others. */
function serviceHosts(model: MeshModel, service: MeshService, pod: ProxyPod): string[] {
  const scope = { namespace: service.namespace, clusterDomain: model.settings.clusterDomain, local: true };
  const names = hostNames(service.name, scope);
  if (!service.object.headless) return [...names, ...service.addresses.map(({ address }) => addressHost(address))];
  const hostname = model.pods.get(`${pod.namespace}/${pod.name}`)?.hostname ?? pod.name;
  return [...names, ...hostNames(`${hostname}.${service.name}`, scope), ...pod.ips.map(addressHost)];
}
