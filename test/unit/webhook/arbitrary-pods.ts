/** Pods and namespaces of every shape that the API server lets through, for properties. */
import fc from 'fast-check';
import type { Container, Handler, Namespace, Pod } from '#webhook/inject/pod.ts';

const injection = 'openservicemesh.io/sidecar-injection';
const lists = [
  'openservicemesh.io/outbound-port-exclusion-list',
  'openservicemesh.io/inbound-port-exclusion-list',
  'openservicemesh.io/outbound-ip-range-exclusion-list',
  'openservicemesh.io/outbound-ip-range-inclusion-list',
  'openservicemesh.io/prestop-sleep',
];

/** Mostly the one, seldom the other. */
const mostly = <T>(usual: fc.Arbitrary<T>, rare: fc.Arbitrary<T>, weight = 30) =>
  fc.oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: rare });
const word = mostly(
  fc.constantFrom('enabled', 'Yes', 'true', 'enabled', 'disabled'),
  fc.oneof(fc.constantFrom('NO', 'false', '', 'maybe'), fc.string()),
  12,
);
const port = mostly(
  fc.integer({ min: 1, max: 14999 }),
  fc.constantFrom(15000, 15001, 15003, 15010, 15901, 15904, 15910, 15949),
  60,
);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

/** The keys that mean something, often; others, and odd ones, sometimes. */
function marks(keys: readonly string[], values: fc.Arbitrary<string>): fc.Arbitrary<Record<string, string>> {
  const odd = fc.constantFrom('constructor', 'a/b~c', '__proto__', 'app', '');
  return fc.dictionary(fc.oneof({ weight: 3, arbitrary: fc.constantFrom(...keys) }, odd), values, { maxKeys: 4 });
}

const handler: fc.Arbitrary<Handler> = fc.oneof(
  fc
    .record({
      path: optional(fc.oneof(fc.constantFrom('/', '/live?cost=$(A)$$', 'ready'), fc.string())),
      port: fc.oneof<fc.Arbitrary<number | string>[]>(port, fc.constantFrom('http', 'none', '8080')),
      scheme: fc.constantFrom('HTTP', 'HTTPS', 'https'),
      host: optional(fc.constantFrom('', 'example.org')),
    })
    .map(({ path, port: asked, scheme, host }) => ({
      httpGet: { port: asked, scheme, ...(path !== undefined && { path }), ...(host !== undefined && { host }) },
    })),
  port.map((asked) => ({ tcpSocket: { port: asked } })),
  port.map((asked) => ({ grpc: { port: asked, service: 'health' } })),
  fc.constant({ exec: { command: ['true'] } }),
);

const shape = fc.record({
  ports: optional(
    fc.array(
      port.map((containerPort) => ({ name: 'http', containerPort })),
      { maxLength: 3 },
    ),
  ),
  livenessProbe: optional(handler),
  readinessProbe: optional(handler),
  startupProbe: optional(handler),
  lifecycle: optional(
    fc.record({ postStart: optional(handler), preStop: optional(handler) }).map((hooks) => defined(hooks)),
  ),
  securityContext: optional(fc.record({ runAsUser: mostly(fc.constantFrom(0, 1000), fc.constant(1500)) })),
  restartPolicy: optional(fc.constant('Always')),
});

const containers = fc.array(shape, { minLength: 1, maxLength: 3 }).map(named('app'));
const initContainers = fc.array(shape, { maxLength: 2 }).map(named('init'));

/** Names are unique in a pod. */
function named(prefix: string) {
  return (shapes: readonly object[]): Container[] =>
    shapes.map((one, index) => ({ ...defined(one), name: `${prefix}-${index}`, image: 'image' }));
}

function emptyDirectories(names: readonly string[]) {
  return names.map((name) => ({ name, emptyDir: {} }));
}

/** Redirect lists and the wait: readable ones, and now and then any text. */
const listed = mostly(
  fc.subarray(
    [
      ['openservicemesh.io/outbound-port-exclusion-list', '80, 443'],
      ['openservicemesh.io/inbound-port-exclusion-list', '9000'],
      ['openservicemesh.io/outbound-ip-range-exclusion-list', '10.0.0.0/8,fd00::/8'],
      ['openservicemesh.io/outbound-ip-range-inclusion-list', '192.168.0.0/16'],
      ['openservicemesh.io/prestop-sleep', '5'],
    ].map(([key = '', value = '']): [string, string] => [key, value]),
  ),
  fc.array(fc.tuple(fc.constantFrom(...lists), fc.string()), { maxLength: 2 }),
).map((entries): Record<string, string> => Object.fromEntries(entries));

const metadata = fc
  .record({
    labels: optional(marks([injection], word)),
    annotations: optional(
      fc
        .tuple(marks([injection], word), marks(['prometheus.io/port'], fc.constantFrom('15010', '9102')), listed)
        .map((all): Record<string, string> => Object.assign({}, ...all) as Record<string, string>),
    ),
  })
  .map((found) => ({ name: 'pod', ...defined(found) }));

const spec = fc
  .record({
    containers,
    initContainers: optional(initContainers),
    volumes: optional(
      mostly<string[]>(fc.constant(['data']), fc.constant(['data', 'osm-token'])).map(emptyDirectories),
    ),
    hostNetwork: mostly(fc.constant<boolean | undefined>(undefined), fc.boolean(), 8),
    terminationGracePeriodSeconds: optional(fc.constantFrom(0, 1, 30, 3600)),
    os: optional(mostly<{ name: string }>(fc.constant({ name: 'linux' }), fc.constant({ name: 'windows' }))),
  })
  .map(({ containers: own, ...rest }) => ({ ...defined(rest), containers: own }));

export const arbitraryPod: fc.Arbitrary<Pod> = fc
  .record({ metadata, spec })
  .map((pod) => ({ apiVersion: 'v1', kind: 'Pod', ...pod }));

export const arbitraryNamespace: fc.Arbitrary<Namespace> = fc
  .record({
    name: fc.constantFrom('shop', 'shop', 'shop', 'kube-system', 'osm-system'),
    monitored: fc.constantFrom('osm', 'osm', 'osm', 'other', undefined),
    labels: marks(
      [injection, 'openservicemesh.io/ignore', 'control-plane', 'pod-security.kubernetes.io/enforce'],
      word,
    ),
    annotations: optional(marks([injection, 'openservicemesh.io/metrics'], word)),
  })
  .map(({ name, monitored, labels, annotations }) => ({
    metadata: {
      name,
      labels: { ...labels, ...(monitored !== undefined && { 'openservicemesh.io/monitored-by': monitored }) },
      ...defined({ annotations }),
    },
  }));

/** A namespace that asks for the sidecar, so that most pods get it. */
export const meshedNamespace: Namespace = {
  metadata: { name: 'shop', labels: { 'openservicemesh.io/monitored-by': 'osm', [injection]: 'enabled' } },
};

/** Without the keys whose value is undefined: JSON has none. */
function defined<T extends object>(object: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
