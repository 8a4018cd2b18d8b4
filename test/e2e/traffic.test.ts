/** Real traffic of every protocol, in permissive mode and in SMI mode: who is answered, who is refused, and with which reason. */
import assert from 'node:assert/strict';
import { PATHS } from './programs/echo-service.ts';
import type { Call, Outcome } from './programs/outcome.ts';
import { callFrom, callsFrom } from './support/calls.ts';
import { lab } from './support/lab.ts';
import {
  ALL_PROTOCOLS,
  allProtocolsServer,
  database,
  httpRouteGroup,
  namespace,
  service,
  statefulSet,
  tcpRoute,
  trafficTarget,
  workload,
} from './support/manifests.ts';

const NS = 'traffic';
const SLEEP = ['sleep', 'infinity'];
/** What gRPC makes of 403. */
const PERMISSION_DENIED = 7;

/** A call, and what its answer looks like. */
interface Case extends Call {
  readonly name: string;
  readonly answer: RegExp;
}

const GRPC = { protocol: 'grpc', path: PATHS.say, answer: /^server-\S+ echo word$/ } as const;
const ECHO = { protocol: 'tcp', answer: /^server-\S+ echo word\n$/ } as const;
const WEBSOCKET = { protocol: 'websocket', path: '/ws', answer: /^server-\S+ echo word$/ } as const;

const CASES: readonly Case[] = [
  { name: 'HTTP/1.1', protocol: 'http1', target: 'server:8080', answer: /^server-\S+ HTTP\/1.1 GET \/hello$/m },
  { name: 'HTTP/2', protocol: 'http2', target: 'server:8081', answer: /^server-\S+ HTTP\/2.0 GET \/hello$/m },
  { name: 'HTTP/2, appProtocol kubernetes.io/h2c', protocol: 'http2', target: 'server:8082', answer: /HTTP\/2.0/ },
  { name: 'gRPC, unary', target: 'server:9090', ...GRPC },
  {
    name: 'gRPC, streaming',
    ...GRPC,
    protocol: 'grpc-stream',
    target: 'server:9090',
    answer: /( echo word \d\s*\S*){3}$/,
  },
  { name: 'TCP', target: 'server:7000', ...ECHO },
  { name: 'WebSocket', target: 'server:8080', ...WEBSOCKET },
  { name: 'WebSocket, appProtocol kubernetes.io/ws', target: 'server:8083', ...WEBSOCKET },
  { name: 'MariaDB, which speaks first', protocol: 'mysql', target: 'database:3306', answer: /"word".*MariaDB/ },
  { name: 'HTTP/1.1 over IPv6', protocol: 'http1', target: 'six:8080', answer: /^server-\S+ HTTP\/1.1/ },
  { name: 'TCP over IPv6', target: 'six:7000', ...ECHO },
];

describe('traffic', () => {
  /** The cluster address of a service, as a URL has it. */
  const addresses = new Map<string, string>();
  const at = (name: string): string => addresses.get(name) ?? 'unknown';

  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true)]);
    await lab.apply([
      ...allProtocolsServer({ namespace: NS, name: 'server' }),
      service(NS, 'six', { app: 'server' }, ALL_PROTOCOLS, { ipFamilies: ['IPv6'] }),
      ...database(NS, 'database'),
      ...statefulSet({ namespace: NS, name: 'member', account: 'server', replicas: 2 }),
      ...workload({ namespace: NS, name: 'friend', command: SLEEP }),
      ...workload({ namespace: NS, name: 'stranger', command: SLEEP }),
      httpRouteGroup(NS, 'open', [
        { name: 'open', pathRegex: `/hello|/ws|${PATHS.say}|${PATHS.chat}`.replaceAll('.', '[.]'), methods: ['*'] },
      ]),
      tcpRoute(NS, 'echo', [7000]),
      tcpRoute(NS, 'database', [3306]),
      trafficTarget('http', `${NS}/friend`, `${NS}/server`, { kind: 'HTTPRouteGroup', name: 'open' }),
      trafficTarget('echo', `${NS}/friend`, `${NS}/server`, { kind: 'TCPRoute', name: 'echo' }),
      trafficTarget('database', `${NS}/friend`, `${NS}/database`, { kind: 'TCPRoute', name: 'database' }),
    ]);
    await lab.rolledOut(NS, 'server', 'friend', 'stranger', 'database');
    await lab.kubectl(['rollout', 'status', '-n', NS, 'statefulset/member', '--timeout=120s']);
    for (const name of ['server', 'six']) {
      const { spec } = await lab.json<{ spec: { clusterIP: string } }>(['get', 'service', '-n', NS, name]);
      addresses.set(name, spec.clusterIP.includes(':') ? `[${spec.clusterIP}]` : spec.clusterIP);
    }
    assert.match(at('six'), /^\[.*:.*\]$/, 'the cluster gives the service an IPv6 address');
  });

  after(async () => {
    await lab.setPermissive(true);
    await lab.kubectl(['delete', 'namespace', NS, '--wait=false']);
  });

  /**
   * The outcomes of all calls of a client, made again until all are as they should be, for a sidecar hears of a change a moment
   * later. What is wrong at the end is for each test to say.
   */
  async function outcomes(client: string, good: (call: Case, outcome: Outcome) => boolean): Promise<Outcome[]> {
    const calls = [...CASES, ...byOtherNames()];
    const deadline = Date.now() + 15_000;
    for (;;) {
      const found = await callsFrom(NS, client, calls);
      const right = calls.every((call, index) => good(call, found[index] ?? { answer: '' }));
      if (right || Date.now() > deadline) return found;
    }
  }

  /** By service name, and by address: a Host header that is the service's IP; and each pod of a StatefulSet. */
  function byOtherNames(): Case[] {
    const member = (index: number): Case[] => [
      {
        name: `HTTP/1.1 to member-${index} of a StatefulSet`,
        protocol: 'http1',
        target: `member-${index}.member:8080`,
        answer: new RegExp(`^member-${index} HTTP/1.1`),
      },
      {
        name: `TCP to member-${index} of a StatefulSet`,
        protocol: 'tcp',
        target: `member-${index}.member.${NS}.svc.cluster.local:7000`,
        answer: new RegExp(`^member-${index} echo word`),
      },
    ];
    return [
      { name: 'HTTP/1.1 to the IPv4 address', protocol: 'http1', target: `${at('server')}:8080`, answer: /HTTP\/1.1/ },
      { name: 'TCP to the IPv4 address', protocol: 'tcp', target: `${at('server')}:7000`, answer: / echo word/ },
      { name: 'HTTP/1.1 to the IPv6 address', protocol: 'http1', target: `${at('six')}:8080`, answer: /HTTP\/1.1/ },
      { name: 'TCP to the IPv6 address', protocol: 'tcp', target: `${at('six')}:7000`, answer: / echo word/ },
      ...member(0),
      ...member(1),
    ];
  }

  /** Declares a test a case, and one for all other names; `found` are the outcomes of a client. */
  function each(title: string, found: () => readonly Outcome[], check: (call: Case, outcome: Outcome) => void): void {
    const outcome = (index: number): Outcome => found()[index] ?? { answer: '', error: 'never called' };
    for (const [index, call] of CASES.entries()) {
      it(`${call.name}: ${title}`, () => check(call, outcome(index)));
    }
    it(`addresses of services and names of a StatefulSet’s pods: ${title}`, () => {
      for (const [index, call] of byOtherNames().entries()) check(call, outcome(CASES.length + index));
    });
  }

  describe('in permissive mode', () => {
    let found: readonly Outcome[] = [];

    before(async () => {
      await lab.setPermissive(true);
      found = await outcomes('stranger', isAnswered);
    });

    each('any account is answered', () => found, assertAnswered);
  });

  describe('in SMI mode', () => {
    let friend: readonly Outcome[] = [];
    let stranger: readonly Outcome[] = [];

    before(async () => {
      await lab.setPermissive(false);
      stranger = await outcomes('stranger', (call, outcome) => !isAnswered(call, outcome));
      friend = await outcomes('friend', isAnswered);
    });

    each('an account that a TrafficTarget allows is answered', () => friend, assertAnswered);
    each('any other account is refused, and told why', () => stranger, assertRefused);

    it('a gRPC method that no route names is refused by the server’s side, with a status that gRPC knows', async () => {
      const secret = await callFrom(NS, 'friend', { protocol: 'grpc', target: 'server:9090', path: PATHS.secret });
      assert.deepEqual([secret.status, secret.denied], [PERMISSION_DENIED, 'no-route'], JSON.stringify(secret));
    });

    it('a path that no route names is refused over HTTP/2 as over HTTP/1.1', async () => {
      for (const [protocol, port] of [['http1', 8080] as const, ['http2', 8081] as const]) {
        const { status, denied } = await callFrom(NS, 'friend', {
          protocol,
          target: `server:${port}`,
          path: '/secret',
        });
        assert.deepEqual([status, denied], [403, 'no-route'], protocol);
      }
    });
  });
});

function isAnswered(call: Case, { answer }: Outcome): boolean {
  return call.answer.test(answer);
}

function assertAnswered(call: Case, outcome: Outcome): void {
  assert.match(outcome.answer, call.answer, `${call.name}: ${JSON.stringify(outcome)}`);
}

/** HTTP says so with a status and a header, gRPC with its own status; TCP ends before a byte has come. */
function assertRefused(call: Case, outcome: Outcome): void {
  const shown = `${call.name}: ${JSON.stringify(outcome)}`;
  switch (call.protocol) {
    case 'http1':
    case 'http2':
    case 'websocket':
      assert.deepEqual([outcome.status, outcome.denied], [403, 'not-allowed'], shown);
      return;
    case 'grpc':
    case 'grpc-stream':
      assert.deepEqual([outcome.status, outcome.denied], [PERMISSION_DENIED, 'not-allowed'], shown);
      return;
    case 'tcp':
      assert.deepEqual(outcome, { answer: '', error: outcome.error }, shown);
      assert.match(outcome.error ?? '', /^(closed without a byte|ECONNRESET)$/, shown);
      return;
    case 'mysql':
      assert.match(outcome.error ?? '', /^(PROTOCOL_CONNECTION_LOST|ECONNRESET)$/, shown);
      return;
  }
}
