/** Small random meshes: few names, so that they collide in every way. */
import fc from 'fast-check';
import type { HttpRouteMatchObject, MeshObjects, PodObject, ServicePortObject } from '#mesh/objects.ts';
import { cluster, group, pod, port, service, SETTINGS, split, target, tcpRoute } from './builders.ts';

const PROTOCOLS = [undefined, undefined, 'http', 'tcp', 'grpc', 'nonsense', 'tcp-server-first'];

/** One port, or two of which the second is named, at its own target port or at the first one's. */
const ports: fc.Arbitrary<ServicePortObject[]> = fc
  .record({
    first: fc.constantFrom(...PROTOCOLS),
    second: fc.option(
      fc.record({
        protocol: fc.constantFrom(...PROTOCOLS),
        targetPort: fc.constantFrom<number | string>(81, 80, 'app'),
      }),
    ),
  })
  .map(({ first, second }) => [
    port(80, { appProtocol: first, name: second === null ? '' : 'one' }),
    ...(second === null
      ? []
      : [port(81, { appProtocol: second.protocol, targetPort: second.targetPort, name: 'two' })]),
  ]);

/** Paths, methods and headers of the routes that `requests` asks for. */
const MATCHES: readonly Partial<HttpRouteMatchObject>[] = [
  { name: 'one', pathRegex: '/one' },
  { name: 'two' },
  { name: 'read', pathRegex: '/o.*', methods: ['GET'] },
  { name: 'write', pathRegex: '/(one|two)', methods: ['POST', 'PUT'] },
  { name: 'fox', headers: { 'user-agent': '.*fox.*' } },
  { name: 'host', pathRegex: '/two', headers: { host: 'x.*' } },
  { name: 'broken', pathRegex: '(?<=x)' },
];

const RULES = [
  'HTTPRouteGroup/g',
  ...MATCHES.map(({ name }) => `HTTPRouteGroup/g/${name}`),
  'TCPRoute/r',
  'TCPRoute/any',
  'TCPRoute/none',
];

const services = fc.uniqueArray(
  fc.record({
    key: fc.constantFrom<string>('a/x', 'a/y', 'a/x', 'a/y', 'b/x', 'b/z'),
    app: fc.constantFrom<string>('p', 'q'),
    headless: fc.constantFrom(false, false, true),
    ports,
    created: fc.constantFrom<string>('2025', '2026'),
  }),
  { selector: ({ key }) => key, minLength: 1, maxLength: 4 },
);

const pods = fc.uniqueArray(
  fc.record({
    key: fc.constantFrom<string>('a/1', 'a/2', 'a/3', 'a/4', 'b/1'),
    app: fc.constantFrom<string>('p', 'q'),
    sa: fc.constantFrom<string>('s', 't'),
    meshed: fc.constantFrom(true, true, true, false),
    kind: fc.constantFrom<string>('Deployment', 'StatefulSet'),
    named: fc.constantFrom<number>(80, 81, 82),
    node: fc.constantFrom<string>('node-1', 'node-2', 'node-3'),
    acceptPlaintext: fc.constantFrom<PodObject['acceptPlaintext']>('unset', 'unset', 'on', 'off', 'unreadable'),
    hintZones: fc.subarray(['zone-1', 'zone-2']),
  }),
  { selector: ({ key }) => key, minLength: 1, maxLength: 5 },
);

const targets = fc.array(
  fc.record({
    from: fc.uniqueArray(fc.constantFrom<string>('a/s', 'a/t', 'b/s'), { minLength: 1, maxLength: 2 }),
    to: fc.constantFrom<string>('a/s', 'a/s', 'a/t', 'b/s'),
    rules: fc.uniqueArray(fc.constantFrom(...RULES), { minLength: 1, maxLength: 3 }),
  }),
  { maxLength: 6 },
);

const splits = fc.array(
  fc.record({
    apex: fc.constantFrom<string>('x', 'y', 'x.a'),
    weights: fc.record({ x: fc.nat(2), y: fc.nat(2), gone: fc.nat(1) }),
    conditional: fc.constantFrom(false, false, true),
    created: fc.constantFrom<string>('2025', '2026'),
  }),
  { maxLength: 3 },
);

/** What an arbitrary makes. */
type Of<A> = A extends fc.Arbitrary<infer T> ? T : never;

interface Parts {
  readonly permissive: boolean;
  readonly egress: boolean;
  readonly services: Of<typeof services>;
  readonly pods: Of<typeof pods>;
  readonly targets: Of<typeof targets>;
  readonly splits: Of<typeof splits>;
}

const anything: fc.Arbitrary<Parts> = fc.record({
  ...{ permissive: fc.constantFrom(false, false, true), egress: fc.boolean() },
  ...{ services, pods, targets, splits },
});

const plainPod = {
  ...{ meshed: true, kind: 'Deployment', named: 80, node: 'node-1' },
  ...{ acceptPlaintext: 'unset' as const, hintZones: [] },
};
const plainService = { headless: false, created: '2025', ports: [port(80)] };

/** Many rules about one service, HTTP or TCP on a port that differs between its pods, which two others call. */
const policies: fc.Arbitrary<Parts> = fc.record({ targets, tcp: fc.boolean() }).map(({ targets: list, tcp }) => ({
  ...{ permissive: false, egress: true, splits: [] },
  services: [
    {
      ...{ ...plainService, key: 'a/x', app: 'p' },
      ports: tcp ? [port(80, { appProtocol: 'tcp', targetPort: 'app' })] : [port(80)],
    },
  ],
  pods: [
    { ...plainPod, key: 'a/1', app: 'p', sa: 's' },
    { ...plainPod, key: 'a/3', app: 'p', sa: 's', named: 82 },
    { ...plainPod, key: 'a/2', app: 'q', sa: 't' },
    { ...plainPod, key: 'b/1', app: 'q', sa: 's' },
  ],
  targets: list.map((entry) => ({ ...entry, to: 'a/s' })),
}));

/** Two services with a pod each, and splits between them. */
const divided: fc.Arbitrary<Parts> = fc
  .record({
    splits,
    permissive: fc.boolean(),
    targets,
    protocol: fc.constantFrom(undefined, 'tcp'),
    headless: fc.boolean(),
  })
  .map(({ protocol, headless, ...rest }) => ({
    ...{ ...rest, egress: true },
    services: ['x', 'y'].map((name) => ({
      ...{ ...plainService, key: `a/${name}`, app: name, headless, ports: [port(80, { appProtocol: protocol })] },
    })),
    pods: [
      { ...plainPod, key: 'a/1', app: 'x', sa: 's' },
      { ...plainPod, key: 'a/2', app: 'y', sa: 't' },
      { ...plainPod, key: 'b/1', app: 'q', sa: 's' },
    ],
  }));

export const meshes: fc.Arbitrary<MeshObjects> = fc.oneof(anything, policies, divided).map(build);

function build(parts: Parts): MeshObjects {
  const objects = cluster({
    config: { ...SETTINGS, permissive: parts.permissive, egress: parts.egress },
    namespaces: ['a', 'b'].map((name) => ({ name, monitored: true, acceptPlaintext: name === 'b' ? 'on' : 'unset' })),
    nodes: ['1', '2'].map((name) => ({ name: `node-${name}`, zone: `zone-${name}` })),
    services: parts.services.map(({ key, app, ...rest }, index) =>
      service(key, { ...rest, selector: { app }, clusterIPs: rest.headless ? [] : [`10.0.0.${index}`] }),
    ),
    pods: parts.pods.map(({ key, app, sa, meshed, kind, named, node, acceptPlaintext }, index) =>
      pod(key, app, {
        ...{ sa, meshed, node, acceptPlaintext, namedPorts: { app: named }, ips: [`10.1.0.${index}`] },
        workload: { kind, name: app },
        // a host name of its own, which nothing but its spec tells
        ...(named === 82 ? { hostname: 'own' } : {}),
      }),
    ),
    trafficTargets: parts.targets.map(({ from, to, rules }, index) =>
      // every third one stands in a namespace that need not be its destination's
      target(`${index % 3 === 2 ? 'b' : to.split('/')[0]}/t${index}`, from, to, ...rules),
    ),
    httpRouteGroups: ['a', 'b'].map((name) => group(`${name}/g`, ...MATCHES)),
    tcpRoutes: ['a', 'b'].flatMap((name) => [tcpRoute(`${name}/r`, 80), tcpRoute(`${name}/any`)]),
    trafficSplits: parts.splits.map(({ apex, weights, conditional, created }, index) => ({
      ...split(`a/s${index}`, apex, weights),
      matches: conditional ? [{ kind: 'HTTPRouteGroup', name: 'g' }] : [],
      created,
    })),
  });
  const hints = new Map(parts.pods.map(({ key, hintZones }) => [key, hintZones]));
  const endpointSlices = objects.endpointSlices.map((slice) => ({
    ...slice,
    endpoints: slice.endpoints.map((endpoint) => ({
      ...endpoint,
      hintZones: hints.get(`${slice.namespace}/${endpoint.pod}`) ?? [],
    })),
  }));
  return { ...objects, endpointSlices };
}

/** The same objects, each list in another order; the order depends on the seed alone. */
export function permuted(objects: MeshObjects, seed: number): MeshObjects {
  const copy = Object.entries(objects).map(([name, value]) => [
    name,
    Array.isArray(value) ? shuffled(value, seed) : value,
  ]);
  return Object.fromEntries(copy) as MeshObjects;
}

/** Fisher and Yates, with a linear congruential generator (constants of Numerical Recipes). */
function shuffled<T>(list: readonly T[], seed: number): T[] {
  const result = [...list];
  let state = seed >>> 0;
  for (let last = result.length - 1; last > 0; last -= 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    const other = Math.floor((state / 2 ** 32) * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}

/** Requests that the matches above tell apart. */
export const requests = fc.record({
  method: fc.constantFrom<string>('GET', 'POST', 'PUT', 'DELETE'),
  path: fc.constantFrom<string>('/', '/one', '/two', '/other'),
  headers: fc.constantFrom({}, { 'user-agent': 'a fox' }),
});
