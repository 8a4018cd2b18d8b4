/**
 * Two sidecars with generated configuration, real traffic and real certificates, on loopback.
 *
 * In a pod, iptables redirect to 15001 and 15003 and `original_dst` restores the destination. Here the listeners are bound
 * to the very addresses that they are meant to match (a service's, a pod's), so the destination is right without a
 * redirect; only the listeners' own addresses differ from production.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingHttpHeaders, type IncomingMessage, type Server, createServer, request } from 'node:http';
import { type Server as TcpServer, connect, createServer as createTcpServer } from 'node:net';
import type { AccountKey } from '#mesh/identity.ts';
import type { InboundChain, InboundView, OutboundView, Peers } from '#mesh/view.ts';
import { type RunningEnvoy, freePort, startEnvoy } from '#test/support/envoy.ts';
import { type TestAuthority, testAuthority } from '#test/support/mesh-certificates.ts';
import { staticBootstrap } from '#test/support/static-config.ts';
import {
  assignment,
  cluster,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';

const SERVICE = '127.0.1.1';
const DENIED_SERVICE = '127.0.1.2';
const POD = '127.0.2.1';
/** A pod whose application does not listen. */
const BROKEN_POD = '127.0.2.2';
const NOWHERE = '127.0.2.99';
const BANNER = 'hello from a server that speaks first\n';

describe('two sidecars, generated configuration, real traffic', function () {
  this.timeout(60_000);

  const envoys: RunningEnvoy[] = [];
  let application: Server;
  let database: TcpServer;
  let authority: TestAuthority;
  let http = 0;
  let tcp = 0;
  /** What the application was asked, `METHOD path`, since the test began. */
  let seen: string[] = [];
  let databaseConnections = 0;

  before(async () => {
    [http, tcp, authority] = [await freePort(), await freePort(), await testAuthority()];
    application = createServer((call, answer) => {
      seen.push(`${call.method} ${call.url}`);
      answer.setHeader('x-osm-denied', 'forged').setHeader('x-osm-not-sent', '1').setHeader('x-osm-reset', '1');
      answer.setHeader('x-received', JSON.stringify(call.headers));
      if (call.url === '/public/die') call.socket.destroy();
      else call.pipe(answer);
    });
    application.listen(http, '127.0.0.1');
    database = createTcpServer((socket) => {
      databaseConnections += 1;
      socket.on('error', () => undefined);
      socket.write(BANNER);
    });
    database.listen(tcp, '127.0.0.1');
    await Promise.all([once(application, 'listening'), once(database, 'listening')]);

    await startSidecar('shop/store', { inbound: inboundView({ chains: chains() }), at: POD });
    await startSidecar('shop/store', {
      inbound: inboundView({ chains: chains(), applicationAddress: NOWHERE }),
      at: BROKEN_POD,
    });
    buyer = await startSidecar('shop/buyer', { outbound: outbound(), at: SERVICE });
  });

  let buyer: RunningEnvoy;

  after(async () => {
    application?.closeAllConnections();
    application?.close();
    database?.close();
    await Promise.all(envoys.map((it) => it.stop()));
  });

  beforeEach(() => {
    seen = [];
    databaseConnections = 0;
  });

  /** The server's view: one guarded HTTP service and one TCP service. */
  function chains(): InboundChain[] {
    const forBuyer = { kind: 'accounts', accounts: ['shop/buyer' as AccountKey] } as const;
    const late = httpChain('late', http, [inboundRoute('.*', forBuyer)], ['another-name']);
    return [
      httpChain('store', http, [
        inboundRoute('/public(/.*)?', forBuyer),
        inboundRoute('/staff/.*', { kind: 'accounts', accounts: [] }),
      ]),
      {
        key: 'db',
        name: 'shop/db',
        targetPort: tcp,
        sni: 'db',
        protocol: 'tcp-server-first',
        policy: { kind: 'tcp', allowed: forBuyer },
      },
      late,
      wide(forBuyer),
    ];
  }

  /** Guarded by grants beside its routes, as where very many overlap. */
  function wide(forBuyer: Peers): InboundChain {
    const toThief: Peers = { kind: 'accounts', accounts: ['shop/thief'] };
    const match = (pathRegex: string) => ({ pathRegex, methods: [], headers: [] });
    const grants = [
      { matches: [match('/.*public.*'), match('/.*open.*')], allowed: forBuyer },
      { matches: [match('/.*staff.*')], allowed: toThief },
    ];
    const routes = [
      inboundRoute('/.*public.*', forBuyer),
      inboundRoute('/.*staff.*', toThief),
      inboundRoute('/.*open.*', forBuyer),
    ];
    const chain = httpChain('wide', http, routes);
    if (chain.policy.kind !== 'http') return chain;
    return { ...chain, policy: { kind: 'http', routes: { ...chain.policy.routes, grants } } };
  }

  /** A client's view, the same for friend and stranger: what is tested is that the server refuses. */
  function outbound(): OutboundView {
    return outboundView({
      httpPorts: [
        {
          port: http,
          addresses: [SERVICE],
          routes: {
            key: 'r',
            name: `outbound.${http}`,
            virtualHosts: [
              virtualHost('store', http, 'shop/store|80|0'),
              virtualHost('flaky', http, 'shop/flaky|80|0'),
              virtualHost('impostor', http, 'shop/impostor|80|0'),
              virtualHost('late', http, 'shop/late|80|0'),
              virtualHost('wide', http, 'shop/wide|80|0'),
              {
                ...virtualHost('vault', http),
                action: { kind: 'deny', denial: { key: 'not-allowed', message: 'Not the vault.' } },
              },
            ],
          },
        },
      ],
      tcpServices: [
        {
          key: 'db',
          name: 'shop/db:1',
          port: tcp,
          addresses: [SERVICE],
          backends: [{ cluster: 'shop/db|1|0', weight: 1 }],
        },
      ],
      closedTcp: [{ reason: 'not-allowed', port: tcp, addresses: [DENIED_SERVICE] }],
      clusters: [
        cluster('store', 80),
        cluster('flaky', 80, { sni: cluster('store', 80).sni, accounts: ['shop/store'] }),
        cluster('late', 80, { accounts: ['shop/store'] }),
        cluster('wide', 80, { accounts: ['shop/store'] }),
        cluster('impostor', 80, { sni: cluster('store', 80).sni, accounts: ['shop/somebody-else'] }),
        cluster('db', 1, { protocol: 'tcp-server-first', sni: 'db', accounts: ['shop/store'] }),
      ],
    });
  }

  async function startSidecar(
    account: AccountKey,
    { at, ...views }: { at: string; inbound?: InboundView; outbound?: OutboundView },
  ): Promise<RunningEnvoy> {
    const resources = [
      ...translateView({ inbound: views.inbound ?? inboundView(), outbound: views.outbound ?? outboundView() }),
      translateEndpoints(assignment('shop/store|80|0', [POD, http])),
      translateEndpoints(assignment('shop/impostor|80|0', [POD, http])),
      translateEndpoints(assignment('shop/late|80|0', [POD, http])),
      translateEndpoints(assignment('shop/wide|80|0', [POD, http])),
      translateEndpoints(assignment('shop/flaky|80|0', [BROKEN_POD, http], [POD, http])),
      translateEndpoints(assignment('shop/db|1|0', [POD, tcp])),
    ].filter((it) => views.outbound !== undefined || it.name !== 'outbound');
    const addresses = [at, ...(views.outbound === undefined ? [] : [DENIED_SERVICE])];
    const listenOn = addresses.flatMap((address) => [http, tcp].map((port) => ({ address, port })));
    const envoy = await startEnvoy(
      staticBootstrap(resources, {
        listenOn: { inbound: listenOn, outbound: listenOn },
        secrets: translateSecrets(await authority.issue(account)),
      }),
    );
    envoys.push(envoy);
    return envoy;
  }

  interface Answer {
    readonly status: number;
    readonly headers: IncomingHttpHeaders;
    readonly body: string;
  }

  /** Calls through the client's sidecar; `path` goes out exactly as it is written. */
  async function call(path: string, more: { host?: string; method?: string; body?: string } = {}): Promise<Answer> {
    const sent = request({
      host: SERVICE,
      port: http,
      path,
      method: more.method ?? 'GET',
      agent: false,
      headers: { host: more.host ?? 'store.shop' },
    });
    sent.end(more.body);
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    let body = '';
    for await (const piece of answer.setEncoding('utf8')) body += String(piece);
    return { status: answer.statusCode ?? 0, headers: answer.headers, body };
  }

  /** Everything that a connection says until it ends, or until the banner is complete. */
  function listen(address: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(tcp, address);
      let text = '';
      socket.setTimeout(10_000, () => socket.destroy(new Error('neither a banner nor an end')));
      socket.on('data', (piece) => {
        text += piece.toString();
        if (text.length >= BANNER.length) socket.destroy();
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(text));
    });
  }

  it('carries a request over mTLS and adds no header of its own but x-forwarded-proto', async () => {
    const answer = await call('/public/books?a=b%2fc', { method: 'POST', body: 'text' });
    assert.equal(answer.status, 200, answer.body);
    assert.equal(answer.body, 'text');
    assert.deepEqual(seen, ['POST /public/books?a=b%2fc']);
    const received = JSON.parse(String(answer.headers['x-received'])) as IncomingHttpHeaders;
    assert.deepEqual(Object.keys(received).toSorted(), ['content-length', 'host', 'x-forwarded-proto']);
    assert.equal(answer.headers['server'], undefined);
    assert.equal(await buyer.stat('cluster.shop/store|80|0.ssl.handshake'), 1);
  });

  it('strips what an application forges in the name of the mesh', async () => {
    const { headers } = await call('/public/');
    assert.deepEqual(
      [headers['x-osm-denied'], headers['x-osm-not-sent'], headers['x-osm-reset']],
      [undefined, undefined, undefined],
    );
  });

  it('refuses an account that the route does not allow, with the reason', async () => {
    const { status, headers, body } = await call('/staff/payroll');
    assert.deepEqual(
      [status, headers['x-osm-denied'], body],
      [403, 'not-allowed', 'This account may not call this.\n'],
    );
    assert.deepEqual(seen, []);
  });

  it('decides by the grants beside the routes where these stand, whichever route comes first', async () => {
    const outcome = async (path: string) => {
      const { status, headers } = await call(path, { host: 'wide.shop' });
      return [status, headers['x-osm-denied']];
    };
    assert.deepEqual(await outcome('/a/public'), [200, undefined]);
    assert.deepEqual(await outcome('/a/staff/open'), [200, undefined], 'the first route is another’s');
    assert.deepEqual(await outcome('/a/staff'), [403, 'not-allowed']);
    assert.deepEqual(await outcome('/a/staff/..%2fpublic'), [403, 'no-route']);
    assert.deepEqual(await outcome('/elsewhere'), [403, 'no-route']);
    assert.deepEqual(seen, ['GET /a/public', 'GET /a/staff/open']);
  });

  it('refuses what no route matches with 403 no-route', async () => {
    const { status, headers } = await call('/elsewhere');
    assert.deepEqual([status, headers['x-osm-denied']], [403, 'no-route']);
  });

  it('tries again where the server has not heard of the host name yet, and then says 403 no-route', async () => {
    const { status, headers, body } = await call('/public/', { host: 'late.shop', method: 'POST', body: 'order' });
    assert.deepEqual([status, headers['x-osm-denied'], headers['x-osm-not-sent']], [403, 'no-route', undefined]);
    assert.match(body, /speaks of this host/);
    assert.deepEqual(seen, []);
    assert.equal(await buyer.stat('cluster.shop/late|80|0.upstream_rq_retry'), 3);
  });

  for (const path of [
    '/public/../staff/payroll',
    '/public/%2e%2e/staff/payroll',
    '/public/%2E./staff/payroll',
    '/public\\..\\staff\\payroll',
    '/public/..;/staff/payroll',
    '/public/%2e%2e;x=y/staff/payroll',
    '/public/..%2fstaff%2fpayroll',
    '/public/..%5Cstaff',
    '/public//../../staff/payroll',
    '/public/x//staff',
  ]) {
    it(`lets nobody slip past a path condition with ${path}`, async () => {
      const { status, headers } = await call(path);
      assert.equal(status, 403, `the application saw ${seen.join()}`);
      assert.match(String(headers['x-osm-denied']), /^(not-allowed|no-route)$/);
      assert.deepEqual(seen, []);
    });
  }

  it('answers in the caller’s own sidecar for a denied service and for an unknown Host', async () => {
    const denied = await call('/', { host: 'vault.shop' });
    assert.deepEqual(
      [denied.status, denied.headers['x-osm-denied'], denied.body],
      [403, 'not-allowed', 'Not the vault.\n'],
    );
    const unknown = await call('/', { host: 'example.com' });
    assert.deepEqual([unknown.status, unknown.headers['x-osm-denied']], [404, 'no-such-host']);
    assert.deepEqual(seen, []);
  });

  it('takes a host name that ends in a dot for the same name', async () => {
    const { status } = await call('/public/', { host: 'store.shop.' });
    assert.equal(status, 200);
  });

  it('talks to no server but one of the accounts that it expects', async () => {
    const { status } = await call('/public/', { host: 'impostor.shop' });
    assert.equal(status, 503);
    assert.ok((await buyer.stat('cluster.shop/impostor|80|0.ssl.fail_verify_san')) >= 1);
    assert.deepEqual(seen, []);
  });

  it('sends a POST that could not be delivered to another host, once', async () => {
    for (let round = 0; round < 6; round += 1) {
      const answer = await call('/public/', { host: 'flaky.shop', method: 'POST', body: 'order' });
      assert.deepEqual([answer.status, answer.body], [200, 'order']);
      assert.equal(answer.headers['x-osm-not-sent'], undefined);
    }
    assert.equal(seen.length, 6);
    assert.ok((await buyer.stat('cluster.shop/flaky|80|0.upstream_rq_retry')) >= 2, 'no call met the broken pod');
  });

  it('sends a GET under which the application died again, and a POST not', async () => {
    const get = await call('/public/die');
    assert.equal(get.status, 503);
    assert.equal(seen.length, 4, `first try and three retries: ${seen.join()}`);
    seen = [];
    const post = await call('/public/die', { method: 'POST', body: 'order' });
    assert.deepEqual([post.status, seen], [503, ['POST /public/die']]);
    assert.equal(post.headers['x-osm-reset'], undefined);
  });

  it('gives a friend the banner of a server that speaks first', async () => {
    assert.equal(await listen(SERVICE), BANNER);
    assert.equal(databaseConnections, 1);
  });

  it('closes a denied TCP service without a byte', async () => {
    assert.equal(await listen(DENIED_SERVICE), '');
    assert.equal(databaseConnections, 0);
  });

  describe('a stranger with a certificate of the mesh', () => {
    let stranger: RunningEnvoy;

    before(async () => {
      await buyer.stop();
      stranger = await startSidecar('shop/thief', { outbound: outbound(), at: SERVICE });
    });

    it('gets 403 with the reason from the server’s side', async () => {
      const { status, headers } = await call('/public/');
      assert.deepEqual([status, headers['x-osm-denied']], [403, 'not-allowed']);
      assert.deepEqual(seen, []);
    });

    it('gets not one byte of a server that speaks first, which is not even connected to', async () => {
      assert.equal(await listen(SERVICE), '');
      assert.equal(databaseConnections, 0);
      assert.ok((await stranger.stat('cluster.shop/db|1|0.upstream_cx_total')) >= 1, 'the call went nowhere');
    });
  });
});
