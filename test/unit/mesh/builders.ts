/** Short ways to write cluster objects; everything not said has the plainest value. */
import type {
  EndpointSliceObject,
  HttpRouteGroupObject,
  MeshObjects,
  MeshSettings,
  PodObject,
  ServiceObject,
  ServicePortObject,
  TcpRouteObject,
  TrafficSplitObject,
  TrafficTargetObject,
} from '#mesh/objects.ts';
import { accountKey } from '#mesh/identity.ts';
import type { ProxyPod } from '#mesh/view.ts';

export const SETTINGS: MeshSettings = {
  meshName: 'osm',
  namespace: 'osm-system',
  clusterDomain: 'cluster.local',
  permissive: false,
  egress: true,
  localProxyMode: 'Localhost',
  tls: { minVersion: 'TLSv1_2', maxVersion: 'TLSv1_3', cipherSuites: [], ecdhCurves: [] },
  applicationIdleTimeoutMs: 2000,
  maxConnectionMs: 3_600_000,
};

const CREATED = '2026-01-01T00:00:00Z';

function meta(namespace: string, name: string) {
  return { namespace, name, uid: `${namespace}-${name}`, created: CREATED };
}

export function objects(parts: Partial<MeshObjects> = {}): MeshObjects {
  const names = new Set(
    [...(parts.services ?? []), ...(parts.pods ?? []), ...(parts.trafficTargets ?? [])].map((item) => item.namespace),
  );
  return {
    config: SETTINGS,
    namespaces: [...names].map((name) => ({ name, monitored: true, acceptPlaintext: 'unset' })),
    services: [],
    endpointSlices: [],
    pods: [],
    nodes: [],
    trafficTargets: [],
    httpRouteGroups: [],
    tcpRoutes: [],
    trafficSplits: [],
    ...parts,
  };
}

export function port(number: number, fields: Partial<ServicePortObject> = {}): ServicePortObject {
  return { name: '', port: number, targetPort: number, protocol: 'TCP', appProtocol: undefined, ...fields };
}

let nextAddress = 1;

function address(prefix: string): string {
  nextAddress += 1;
  return `${prefix}.${Math.floor(nextAddress / 250)}.${(nextAddress % 250) + 1}`;
}

export function service(key: string, fields: Partial<ServiceObject> = {}): ServiceObject {
  const [namespace = '', name = ''] = key.split('/');
  const headless = fields.headless ?? false;
  return {
    ...meta(namespace, name),
    type: 'ClusterIP',
    clusterIPs: headless ? [] : [address('10.96')],
    headless,
    selector: { app: name },
    ports: [port(80)],
    ...fields,
  };
}

/** `app` is its label and, unless said otherwise, its service account. */
export function pod(key: string, app: string, fields: Partial<PodObject> & { sa?: string } = {}): PodObject {
  const [namespace = '', name = ''] = key.split('/');
  const { sa, ...rest } = fields;
  return {
    ...meta(namespace, name),
    labels: { app },
    account: accountKey(namespace, sa ?? app),
    node: 'node-1',
    hostname: name,
    ips: [address('10.244')],
    meshed: true,
    metrics: false,
    acceptPlaintext: 'unset',
    namedPorts: {},
    workload: { kind: 'Deployment', name: app },
    ...rest,
  };
}

/** The slice that Kubernetes would write for a service over these pods. */
export function slice(of: ServiceObject, pods: readonly PodObject[], ready = true): EndpointSliceObject {
  return {
    ...meta(of.namespace, `${of.name}-slice`),
    service: of.name,
    addressType: 'IPv4',
    ports: of.ports.map(({ name, targetPort, protocol }) => ({
      name,
      protocol,
      port: typeof targetPort === 'number' ? targetPort : (pods[0]?.namedPorts[targetPort] ?? 0),
    })),
    endpoints: pods.map((item) => ({
      addresses: item.ips.slice(0, 1),
      ready,
      hostname: item.workload.kind === 'StatefulSet' || item.hostname !== item.name ? item.hostname : undefined,
      pod: item.name,
      zone: undefined,
      hintZones: [],
    })),
  };
}

/** Slices of all the services by their selectors: one for all pods, or several where a named port differs between them. */
export function slices(services: readonly ServiceObject[], pods: readonly PodObject[]): EndpointSliceObject[] {
  return services
    .filter((item) => Object.keys(item.selector).length > 0)
    .flatMap((item) => {
      const behind = pods.filter(
        (entry) =>
          entry.namespace === item.namespace &&
          Object.entries(item.selector).every(([name, value]) => entry.labels[name] === value),
      );
      const numbers = ({ namedPorts }: PodObject): string =>
        item.ports.map(({ targetPort }) => namedPorts[targetPort] ?? targetPort).join(' ');
      const groups = [...Map.groupBy(behind, numbers).values()];
      if (groups.length < 2) return [slice(item, behind)];
      return groups.map((group, index) => ({ ...slice(item, group), name: `${item.name}-slice-${index}` }));
    });
}

/** A cluster whose endpoints follow from its services and pods. */
export function cluster(parts: Partial<MeshObjects>): MeshObjects {
  return objects({ endpointSlices: slices(parts.services ?? [], parts.pods ?? []), ...parts });
}

export function group(
  key: string,
  ...matches: Partial<HttpRouteGroupObject['matches'][number]>[]
): HttpRouteGroupObject {
  const [namespace = '', name = ''] = key.split('/');
  return {
    ...meta(namespace, name),
    matches: matches.map((match) => ({ name: 'all', pathRegex: '.*', methods: ['*'], headers: {}, ...match })),
  };
}

export function tcpRoute(key: string, ...ports: number[]): TcpRouteObject {
  const [namespace = '', name = ''] = key.split('/');
  return { ...meta(namespace, name), ports };
}

/** `rules` as `HTTPRouteGroup/name`, `HTTPRouteGroup/name/match` or `TCPRoute/name`; sources as `namespace/account`. */
export function target(key: string, from: readonly string[], to: string, ...rules: string[]): TrafficTargetObject {
  const [namespace = '', name = ''] = key.split('/');
  const account = (text: string) => {
    const [ns = '', sa = ''] = text.split('/');
    return { kind: 'ServiceAccount', namespace: ns, name: sa };
  };
  return {
    ...meta(namespace, name),
    destination: account(to),
    sources: from.map(account),
    rules: rules.map((rule) => {
      const [kind = '', route = '', ...matches] = rule.split('/');
      return { kind, name: route, matches };
    }),
  };
}

export function split(
  key: string,
  apex: string,
  backends: Readonly<Record<string, number>>,
  fields: Partial<TrafficSplitObject> = {},
): TrafficSplitObject {
  const [namespace = '', name = ''] = key.split('/');
  return {
    ...meta(namespace, name),
    service: apex,
    backends: Object.entries(backends).map(([to, weight]) => ({ service: to, weight })),
    matches: [],
    ...fields,
  };
}

export function proxy(of: PodObject, zone = ''): ProxyPod {
  return { namespace: of.namespace, name: of.name, account: of.account, ips: of.ips, zone };
}
