/** The objects that e2e tests put into a cluster, as plain JSON. */
import { readFileSync } from 'node:fs';

const version = (
  JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string }
).version;

export const TOOLS_IMAGE = `openservicemesh/test-tools:${version}`;

export interface WorkloadOptions {
  readonly namespace: string;
  readonly name: string;
  /** Service account; the workload's name by default. It is made with the workload. */
  readonly account?: string;
  readonly replicas?: number;
  /** Command line of the container; the image carries /programs/*.mjs. */
  readonly command: readonly string[];
  /** Ports of its Service; none means no Service. */
  readonly ports?: readonly { readonly name: string; readonly port: number; readonly appProtocol?: string }[];
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
    ...(ports.length === 0 ? [] : [service(ns, name, labels, options)]),
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name, namespace: ns },
      spec: {
        replicas,
        selector: { matchLabels: labels },
        strategy: { rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
        template: { metadata: { labels, annotations: options.annotations ?? {} }, spec: podSpec(options, account) },
      },
    },
  ];
}

function service(ns: string, name: string, selector: object, options: WorkloadOptions): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: ns },
    spec: { selector, ports: options.ports, ...(options.headless === true ? { clusterIP: 'None' } : {}) },
  };
}

function podSpec(options: WorkloadOptions, account: string): object {
  const port = options.ports?.[0]?.port;
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
          : { readinessProbe: { httpGet: { path: options.readiness, port }, periodSeconds: 1 } }),
      },
    ],
  };
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
