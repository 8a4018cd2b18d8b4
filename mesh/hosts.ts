/** The names and addresses by which an application may call a service: what a Host header can say. */

/** Parts of the host names of one service, or of one pod of a StatefulSet (`<hostname>.<service>`). */
export interface HostScope {
  readonly namespace: string;
  readonly clusterDomain: string;
  /** Whether the name without a namespace means this service: only inside its own namespace. */
  readonly local: boolean;
}

/** `S` (local), `S.N`, `S.N.svc`, `S.N.svc.<first label of the cluster domain>`, `S.N.svc.<cluster domain>`. */
export function hostNames(name: string, { namespace, clusterDomain, local }: HostScope): string[] {
  const svc = `${name}.${namespace}.svc`;
  const dot = clusterDomain.indexOf('.');
  const names = [`${name}.${namespace}`, svc, `${svc}.${dot < 0 ? clusterDomain : clusterDomain.slice(0, dot)}`];
  if (dot >= 0) names.push(`${svc}.${clusterDomain}`);
  if (local) names.unshift(name);
  return names;
}

/** An address as a Host header writes it: IPv6 stands in brackets. */
export function addressHost(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** Each host without a port and with each of the ports. */
export function withPorts(hosts: readonly string[], ports: readonly number[]): string[] {
  const all: string[] = [];
  for (const host of hosts) {
    all.push(host);
    for (const port of ports) all.push(`${host}:${port}`);
  }
  return all;
}

/** The server name that selects a service's inbound chain. */
export function serverName(service: string, namespace: string, clusterDomain: string): string {
  return `${service}.${namespace}.svc.${clusterDomain}`;
}

/**
 * The service that a TrafficSplit's `service` field names: `name`, `name.namespace` or a longer host name of it.
 * Undefined when it is none of these.
 */
export function parseServiceName(
  text: string,
  namespace: string,
  clusterDomain: string,
): { readonly namespace: string; readonly name: string } | undefined {
  const [name, ...rest] = text.split('.');
  if (name === undefined || name === '') return undefined;
  if (rest.length === 0) return { namespace, name };
  const [given = ''] = rest;
  const known = hostNames(name, { namespace: given, clusterDomain, local: false });
  return known.includes(text) ? { namespace: given, name } : undefined;
}
