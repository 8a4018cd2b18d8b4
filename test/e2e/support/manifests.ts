/** The objects that e2e tests put into a cluster, as plain JSON. */
import { readFileSync } from 'node:fs';

const version = (
  JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

export const TOOLS_IMAGE = `openservicemesh/test-tools:${version}`;
const DATABASE_IMAGE = `openservicemesh/demo-mysql:${version}`;

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly targetPort?: number;
  readonly appProtocol?: string;
}

export interface WorkloadOptions {
  readonly namespace: string;
  readonly name: string;
  /** Service account; the workload's name by default. It is made with the workload. */
  readonly account?: string;
  readonly replicas?: number;
  /** Command line of the container; the image carries /programs/*.mjs. */
  readonly command: readonly string[];
  /** Ports of its Service; none means no Service. */
  readonly ports?: readonly ServicePort[];
  /** Labels of its pods beside `app`, by which further Services may select them. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly headless?: boolean;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Path of an HTTP readiness probe on the first port. */
  readonly readiness?: string;
  readonly terminationGracePeriodSeconds?: number;
}

export function namespace(name: string, meshed: boolean, extra: { labels?: Record<string, string> } = {}): object {
  return {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      name,
      labels: { ...(meshed ? { 'openservicemesh.io/monitored-by': 'osm' } : {}), ...extra.labels },
      annotations: meshed ? { 'openservicemesh.io/sidecar-injection': 'enabled' } : {},
    },
  };
}

/** ServiceAccount, Deployment and, with ports, a Service. */
export function workload(options: WorkloadOptions): object[] {
  const { namespace: ns, name, account = name, replicas = 1, ports = [] } = options;
  const labels = { app: name };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: account, namespace: ns } },
    ...(ports.length === 0 ? [] : [service(ns, name, labels, ports, options.headless === true ? HEADLESS : {})]),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: ns },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: {
          metadata: { labels: { ...labels, ...options.labels }, annotations: options.annotations ?? {} },
          spec: podSpec(options, account),
        },
      },
    },
  ];
}

const HEADLESS = { clusterIP: 'None' };

/** A Service over the pods with these labels; `spec` holds further fields. */
export function service(
  ns: string,
  name: string,
  selector: object,
  ports: readonly ServicePort[],
  spec: object = {},
): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: ns },
    spec: { selector, ports, ...spec },
  };
}

function podSpec(options: WorkloadOptions, account: string): object {
  const [{ port, targetPort = port } = { port: 0 }] = options.ports ?? [];
  return {
    serviceAccountName: account,
    terminationGracePeriodSeconds: options.terminationGracePeriodSeconds ?? 10,
    containers: [
      {
        name: 'app',
        image: TOOLS_IMAGE,
        command: options.command,
        env: [{ name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
        resources: { requests: { cpu: '5m', memory: '16Mi' } },
        ...(options.readiness === undefined
          ? {}
          : { readinessProbe: { httpGet: { path: options.readiness, port: targetPort }, periodSeconds: 1 } }),
      },
    ],
  };
}

/** Ports of the program all-protocols-server.mjs, some of them under two names. */
export const ALL_PROTOCOLS: readonly ServicePort[] = [
  { name: 'http', port: 8080 },
  { name: 'http2', port: 8081 },
  { name: 'by-app-protocol-h2c', port: 8082, targetPort: 8081, appProtocol: 'kubernetes.io/h2c' },
  { name: 'by-app-protocol-ws', port: 8083, targetPort: 8080, appProtocol: 'kubernetes.io/ws' },
  { name: 'tcp-echo', port: 7000 },
  { name: 'grpc', port: 9090 },
];

/** A workload that serves every protocol, with a Service of its own name. */
export function allProtocolsServer(options: Omit<WorkloadOptions, 'command'>): object[] {
  return workload({
    command: ['node', '/programs/all-protocols-server.mjs'],
    ports: ALL_PROTOCOLS,
    readiness: '/',
    ...options,
  });
}

/** A StatefulSet of all-protocols servers and the headless Service that names its pods; `account` is another workload's. */
export function statefulSet(options: Omit<WorkloadOptions, 'command'> & { readonly account: string }): object[] {
  const { namespace: ns, name, account, replicas = 1 } = options;
  const labels = { app: name };
  const serving = { command: ['node', '/programs/all-protocols-server.mjs'], ports: ALL_PROTOCOLS, readiness: '/' };
  return [
    service(ns, name, labels, ALL_PROTOCOLS, HEADLESS),
    {
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name, namespace: ns },
      spec: {
        replicas,
        serviceName: name,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: podSpec({ ...serving, ...options }, account) },
      },
    },
  ];
}

/** MariaDB, with root's password `mypassword` and a database `booksdemo`. */
export function database(ns: string, name: string): object[] {
  const labels = { app: name };
  const ports = [{ name: 'mysql', port: 3306, appProtocol: 'tcp-server-first' }];
  const container = {
    name: 'app',
    image: DATABASE_IMAGE,
    env: [{ name: 'MYSQL_ROOT_PASSWORD', value: 'mypassword' }],
    readinessProbe: { tcpSocket: { port: 3306 }, periodSeconds: 1 },
    resources: { requests: { cpu: '5m', memory: '64Mi' } },
  };
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: ns } },
    service(ns, name, labels, ports),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: ns },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { serviceAccountName: name, containers: [container] } },
      },
    },
  ];
}

/** A pod that runs one command to its end. */
export function oneOffPod(ns: string, name: string, command: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: ns },
    spec: { restartPolicy: 'Never', containers: [{ name: 'app', image: TOOLS_IMAGE, command }] },
  };
}

/** A TrafficTarget with all matches of one route object. */
export function trafficTarget(name: string, from: string, to: string, rule: object): object {
  const [fromNamespace, fromName] = from.split('/');
  const [toNamespace, toName] = to.split('/');
  return {
    apiVersion: 'access.smi-spec.io/v1alpha3',
    kind: 'TrafficTarget',
    metadata: { name, namespace: toNamespace },
    spec: {
      destination: { kind: 'ServiceAccount', name: toName, namespace: toNamespace },
      sources: [{ kind: 'ServiceAccount', name: fromName, namespace: fromNamespace }],
      rules: [rule],
    },
  };
}

export function trafficSplit(
  ns: string,
  name: string,
  apex: string,
  weights: Readonly<Record<string, number>>,
): object {
  const backends = Object.entries(weights).map(([backend, weight]) => ({ service: backend, weight }));
  return {
    apiVersion: 'split.smi-spec.io/v1alpha2',
    kind: 'TrafficSplit',
    metadata: { name, namespace: ns },
    spec: { service: apex, backends },
  };
}

export function httpRouteGroup(ns: string, name: string, matches: readonly object[]): object {
  return {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'HTTPRouteGroup',
    metadata: { name, namespace: ns },
    spec: { matches },
  };
}

export function tcpRoute(ns: string, name: string, ports: readonly number[]): object {
  return {
    apiVersion: 'specs.smi-spec.io/v1alpha4',
    kind: 'TCPRoute',
    metadata: { name, namespace: ns },
    spec: { matches: { ports } },
  };
}
