/**
 * A client prefers its own zone (priority 0), and what it does when nobody answers there. Envoy asks no host for its health:
 * an endpoint counts until the EndpointSlice drops it, which for a node that died takes most of a minute. Addresses as in
 * envoy-traffic.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, type Server, createServer, request } from 'node:http';
import { type Server as TcpServer, connect, createServer as createTcpServer } from 'node:net';
import type { AccountKey } from '#mesh/identity.ts';
import type { EndpointAssignment, InboundView } from '#mesh/view.ts';
import { type Bootstrap, type RunningEnvoy, freePort, startEnvoy } from '#test/support/envoy.ts';
import { type TestAuthority, testAuthority } from '#test/support/mesh-certificates.ts';
import { staticBootstrap } from '#test/support/static-config.ts';
import {
  cluster,
  endpoint,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';

const CLIENT = '127.0.6.1';
const NEAR = '127.0.6.2';
const FAR = '127.0.6.3';
/** A sidecar whose application does not listen. */
const HOLLOW = '127.0.6.4';
/** Nobody listens there at all. */
const GONE = '127.0.6.5';
const NOWHERE = '127.0.6.99';

/** Endpoints in the client's zone, and in another. */
const services = {
  whole: { near: [NEAR], far: [FAR] },
  gone: { near: [GONE], far: [FAR] },
  hollow: { near: [HOLLOW], far: [FAR] },
  mixed: { near: [GONE, NEAR], far: [FAR] },
  alone: { near: [GONE, NEAR], far: [] },
  lost: { near: [GONE], far: [] },
} as const;

type Service = keyof typeof services;

/** What a cluster with passive health checks would carry: one failed connection takes an endpoint out. */
const outliers = {
  split_external_local_origin_errors: true,
  consecutive_local_origin_failure: 1,
  enforcing_consecutive_local_origin_failure: 100,
  base_ejection_time: '60s',
  // By its default of 10 % Envoy ejects nobody out of fewer than ten.
  max_ejection_percent: 100,
};

describe('a client and its zone', function () {
  this.timeout(60_000);

  const envoys: RunningEnvoy[] = [];
  const applications: (Server | TcpServer)[] = [];
  let authority: TestAuthority;
  let client: RunningEnvoy;
  let http = 0;
  let tcp = 0;
  const watched = { http: 0, tcp: 0 };

  before(async () => {
    [http, tcp, watched.http, watched.tcp, authority] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
      await testAuthority(),
    ];
    for (const [zone, address] of [
      ['near', NEAR],
      ['far', FAR],
    ] as const) {
      // Behind its sidecar each application has an address of its own.
      const at = address.replace('127.0.6', '127.0.7');
      applications.push(
        createServer((call, answer) => void call.resume().on('end', () => answer.end(zone))).listen(http, at),
        createTcpServer((socket) => socket.on('error', () => undefined).end(zone)).listen(tcp, at),
      );
      await Promise.all(applications.slice(-2).map((it) => once(it, 'listening')));
      await startServer(address, at);
    }
    await startServer(HOLLOW, NOWHERE);
    client = await startClient({ http, tcp }, (bootstrap) => bootstrap);
  });

  after(async () => {
    for (const application of applications) application.close();
    await Promise.all(envoys.map((it) => it.stop()));
  });

  async function start(bootstrap: Bootstrap): Promise<RunningEnvoy> {
    const envoy = await startEnvoy(bootstrap);
    envoys.push(envoy);
    return envoy;
  }

  async function startServer(at: string, applicationAddress: string): Promise<void> {
    const anyone = { kind: 'any-mesh-identity' } as const;
    const inbound: InboundView = inboundView({
      applicationAddress,
      chains: [
        httpChain('store', http, [inboundRoute('.*', anyone)]),
        {
          key: 'db',
          name: 'shop/db',
          targetPort: tcp,
          sni: 'db',
          protocol: 'tcp',
          policy: { kind: 'tcp', allowed: anyone },
        },
      ],
    });
    const resources = translateView({ inbound, outbound: outboundView() }).filter(({ name }) => name !== 'outbound');
    const listenOn = { inbound: [http, tcp].map((port) => ({ address: at, port })) };
    await start(
      staticBootstrap(resources, { listenOn, secrets: translateSecrets(await authority.issue('shop/store')) }),
    );
  }

  async function startClient(
    ports: { http: number; tcp: number },
    change: (bootstrap: Bootstrap) => Bootstrap,
  ): Promise<RunningEnvoy> {
    const names = Object.keys(services) as Service[];
    const accounts: AccountKey[] = ['shop/store'];
    const sni = cluster('store', 80).sni;
    const outbound = outboundView({
      httpPorts: [
        {
          port: ports.http,
          addresses: [CLIENT],
          routes: {
            key: 'r',
            name: 'outbound',
            virtualHosts: names.map((name) => virtualHost(name, ports.http, `shop/${name}|80|0`)),
          },
        },
      ],
      tcpServices: [
        {
          key: 'db',
          name: 'shop/db:1',
          port: ports.tcp,
          addresses: [CLIENT],
          backends: [{ cluster: 'shop/db|1|0', weight: 1 }],
        },
      ],
      clusters: [
        ...names.map((name) => cluster(name, 80, { sni, accounts })),
        cluster('db', 1, { protocol: 'tcp', sni: 'db', accounts }),
      ],
    });
    const resources = [
      ...translateView({ inbound: inboundView(), outbound }),
      ...names.map((name) => translateEndpoints(zoned(`shop/${name}|80|0`, services[name], http))),
      translateEndpoints(zoned('shop/db|1|0', services.gone, tcp)),
    ];
    const listenOn = { outbound: [ports.http, ports.tcp].map((port) => ({ address: CLIENT, port })) };
    const secrets = translateSecrets(await authority.issue('shop/buyer'));
    return start(change(staticBootstrap(resources, { listenOn, secrets })));
  }

  function zoned(
    name: string,
    { near, far }: { near: readonly string[]; far: readonly string[] },
    port: number,
  ): EndpointAssignment {
    const locality = (zone: string, priority: number, addresses: readonly string[]) =>
      addresses.length === 0
        ? []
        : [{ zone, priority, endpoints: addresses.map((address) => endpoint(address, port)) }];
    return { cluster: name, localities: [...locality('a', 0, near), ...locality('b', 1, far)] };
  }

  /** Who answered, by zone, or the status where nobody did. */
  async function call(service: Service, method = 'POST', port = http): Promise<string> {
    const sent = request({ host: CLIENT, port, path: '/', method, agent: false, headers: { host: `${service}.shop` } });
    sent.end(method === 'POST' ? 'order' : undefined);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    let body = '';
    for await (const piece of answer.setEncoding('utf8')) body += String(piece);
    return answer.statusCode === 200 ? body : String(answer.statusCode);
  }

  async function calls(service: Service, times: number): Promise<string[]> {
    const answers: string[] = [];
    for (let round = 0; round < times; round += 1) answers.push(await call(service));
    return answers;
  }

  function dial(port: number): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(port, CLIENT);
      let heard = '';
      socket.setTimeout(10_000, () => socket.destroy(new Error('neither a word nor an end')));
      socket.on('data', (piece) => {
        heard += piece.toString();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(heard));
    });
  }

  const times = (count: number, word: string): string[] => Array.from({ length: count }, () => word);

  it('stays in it while somebody answers there', async () => {
    assert.deepEqual(await calls('whole', 10), times(10, 'near'));
    assert.equal(await client.stat('cluster.shop/whole|80|0.upstream_rq_retry'), 0);
  });

  it('is answered by another zone when its only endpoint refuses connections, POST too, at the first retry', async () => {
    assert.deepEqual(await calls('gone', 10), times(10, 'far'));
    assert.equal(await client.stat('cluster.shop/gone|80|0.upstream_rq_retry'), 10, 'one retry a call');
  });

  it('is answered by another zone when the application behind its only endpoint is down', async () => {
    assert.deepEqual(await calls('hollow', 4), times(4, 'far'));
  });

  it('loses nothing when one of two endpoints in the zone is gone', async () => {
    const answers = await calls('mixed', 12);
    assert.deepEqual(
      answers.filter((it) => it !== 'near' && it !== 'far'),
      [],
    );
    assert.ok(answers.includes('near'), answers.join());
  });

  it('tries its zone again where there is no other: zones with one priority lose nothing either', async () => {
    assert.deepEqual(await calls('alone', 12), times(12, 'near'));
    assert.equal(await call('lost'), '503');
  });

  it('loses a TCP connection to an endpoint that is gone: requests alone are tried again', async () => {
    assert.equal(await dial(tcp), '');
  });

  describe('with passive health checks, which no default sets', () => {
    let wary: RunningEnvoy;

    before(async () => {
      wary = await startClient(watched, (bootstrap) => {
        const { static_resources: resources } = bootstrap as { static_resources: { clusters: object[] } };
        const clusters = resources.clusters.map((it) => ({ ...it, outlier_detection: outliers }));
        return { static_resources: { ...resources, clusters } };
      });
    });

    it('goes to the other zone at once after the first failure: an ejected priority is not panicked back', async () => {
      assert.equal(await call('gone', 'POST', watched.http), 'far');
      assert.equal(await wary.stat('cluster.shop/gone|80|0.outlier_detection.ejections_active'), 1);
      const before = await wary.stat('cluster.shop/gone|80|0.upstream_rq_retry');
      for (let round = 0; round < 5; round += 1) assert.equal(await call('gone', 'POST', watched.http), 'far');
      assert.equal(await wary.stat('cluster.shop/gone|80|0.upstream_rq_retry'), before);
    });

    it('for TCP too, from the second connection on', async () => {
      assert.equal(await dial(watched.tcp), '');
      assert.equal(await dial(watched.tcp), 'far');
    });
  });
});
