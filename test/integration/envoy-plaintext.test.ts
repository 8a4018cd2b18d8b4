/**
 * The opt-in that takes plaintext beside mTLS, on a server's sidecar with generated configuration: its listener comes as a file
 * that Envoy watches, so that the opt-in is switched under open connections. Addresses as in envoy-traffic.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, type IncomingHttpHeaders, type IncomingMessage, type Server, createServer, request } from 'node:http';
import { type Http2Server, connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type Server as TcpServer, type Socket, connect, createServer as createTcpServer } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { AccountKey } from '#mesh/identity.ts';
import type { InboundChain, InboundView, OutboundView } from '#mesh/view.ts';
import { type RunningEnvoy, freePort, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
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
import { type WatchedListeners, watchedListeners } from '#test/support/watched-listeners.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';

const POD = '127.0.5.1';
/** Where a friend's and a stranger's sidecar listen. */
const FRIEND = '127.0.5.2';
const STRANGER = '127.0.5.3';

describe('plaintext from outside the mesh', function () {
  this.timeout(60_000);

  const envoys: RunningEnvoy[] = [];
  let application: Server;
  let echo: TcpServer;
  let server: RunningEnvoy;
  let authority: TestAuthority;
  let listeners: WatchedListeners;
  let http = 0;
  let tcp = 0;
  let http2 = 0;
  let grpc: Http2Server;
  /** What reached the applications: `METHOD path`, and `connection`. */
  let seen: string[] = [];

  before(async () => {
    [http, tcp, http2, authority] = [await freePort(), await freePort(), await freePort(), await testAuthority()];
    application = createServer((call, answer) => {
      seen.push(`${call.method} ${call.url}`);
      answer.setHeader('x-osm-denied', 'forged').setHeader('x-osm-not-sent', '1').setHeader('x-osm-reset', '1');
      answer.setHeader('x-received', JSON.stringify(call.headers));
      call.pipe(answer);
    });
    application.listen(http, '127.0.0.1');
    echo = createTcpServer((socket) => {
      seen.push('connection');
      socket.on('error', () => undefined).pipe(socket);
    }).listen(tcp, '127.0.0.1');
    grpc = createHttp2Server((call, answer) => {
      seen.push(`${call.method} ${call.url}`);
      answer.end();
    }).listen(http2, '127.0.0.1');
    await Promise.all([application, echo, grpc].map((it) => once(it, 'listening')));
    listeners = await watchedListeners();
    await listeners.publish(serverResources(false), { listenOn: listenOn() });
    const { static_resources: fixed } = staticBootstrap(translateView(views(true)), {
      secrets: translateSecrets(await authority.issue('shop/store')),
    }) as { static_resources: object };
    server = await started({
      node: { id: 'test', cluster: 'test' },
      dynamic_resources: { lds_config: listeners.ldsConfig },
      static_resources: { ...fixed, listeners: [] },
    });
    await startCaller('shop/buyer', FRIEND);
    await startCaller('shop/thief', STRANGER);
  });

  after(async () => {
    application?.closeAllConnections();
    application?.close();
    echo?.close();
    grpc?.close();
    await Promise.all(envoys.map((it) => it.stop()));
    await listeners?.remove();
  });

  beforeEach(() => {
    seen = [];
  });

  async function started(bootstrap: Parameters<typeof startEnvoy>[0]): Promise<RunningEnvoy> {
    const envoy = await startEnvoy(bootstrap);
    envoys.push(envoy);
    return envoy;
  }

  function inbound(open: boolean): InboundView {
    const forBuyer = { kind: 'accounts', accounts: ['shop/buyer' as AccountKey] } as const;
    const database: InboundChain = {
      key: 'db',
      name: 'shop/db',
      targetPort: tcp,
      sni: 'db',
      protocol: 'tcp',
      policy: { kind: 'tcp', allowed: forBuyer },
    };
    return inboundView({
      chains: [httpChain('store', http, [inboundRoute('/public(/.*)?', forBuyer)]), database],
      plaintext: open
        ? [
            { targetPort: http, protocol: 'http' },
            { targetPort: tcp, protocol: 'tcp' },
            { targetPort: http2, protocol: 'grpc' },
          ]
        : [],
    });
  }

  function views(open: boolean): { inbound: InboundView; outbound: OutboundView } {
    return { inbound: inbound(open), outbound: outboundView() };
  }

  const listenOn = () => ({ inbound: [http, tcp, http2].map((port) => ({ address: POD, port })) });

  function serverResources(open: boolean): Resource[] {
    return translateView(views(open)).filter(({ name }) => name !== 'outbound');
  }

  /** Switches the opt-in, and waits until the sidecar has it. */
  const accept = (open: boolean): Promise<void> =>
    listeners.update(server, serverResources(open), { listenOn: listenOn() });

  async function startCaller(account: AccountKey, at: string): Promise<void> {
    const outbound = outboundView({
      httpPorts: [
        {
          port: http,
          addresses: [at],
          routes: { key: 'r', name: 'outbound', virtualHosts: [virtualHost('store', http, 'shop/store|80|0')] },
        },
      ],
      tcpServices: [
        {
          key: 'db',
          name: 'shop/db:1',
          port: tcp,
          addresses: [at],
          backends: [{ cluster: 'shop/db|1|0', weight: 1 }],
        },
      ],
      clusters: [cluster('store', 80), cluster('db', 1, { protocol: 'tcp', sni: 'db', accounts: ['shop/store'] })],
    });
    const resources = [
      ...translateView({ inbound: inboundView(), outbound }),
      translateEndpoints(assignment('shop/store|80|0', [POD, http])),
      translateEndpoints(assignment('shop/db|1|0', [POD, tcp])),
    ];
    await started(
      staticBootstrap(resources, {
        listenOn: { outbound: [http, tcp].map((port) => ({ address: at, port })) },
        secrets: translateSecrets(await authority.issue(account)),
      }),
    );
  }

  interface Answer {
    readonly status: number;
    readonly headers: IncomingHttpHeaders;
    readonly received: IncomingHttpHeaders;
  }

  /** One request; rejects where there is no answer. */
  async function call(at: string, path: string, headers: Record<string, string> = {}, agent?: Agent): Promise<Answer> {
    const sent = request({
      host: at,
      port: http,
      path,
      agent: agent ?? false,
      headers: { host: 'store.shop', ...headers },
    });
    sent.end();
    const [answer] = (await once(sent, 'response')) as [IncomingMessage];
    answer.resume();
    await once(answer, 'end');
    const received = String(answer.headers['x-received'] ?? '{}');
    return {
      status: answer.statusCode ?? 0,
      headers: answer.headers,
      received: JSON.parse(received) as IncomingHttpHeaders,
    };
  }

  /** A TCP connection that says what it hears. */
  class Held {
    readonly socket: Socket;
    #heard = '';
    constructor(at: string) {
      this.socket = connect(tcp, at);
      this.socket.on('error', () => undefined);
      this.socket.setEncoding('utf8').on('data', (text: string) => {
        this.#heard += text;
      });
    }
    async echoes(word: string): Promise<void> {
      this.socket.write(word);
      await eventually(`the connection says ${word}`, () => Promise.resolve(this.#heard.endsWith(word)), {
        deadlineMs: 5000,
        everyMs: 10,
        state: () => Promise.resolve(`heard ${this.#heard}, closed: ${this.socket.closed}`),
      });
    }
  }

  /** What a connection hears that speaks first, until it is closed. */
  async function refused(at: string): Promise<string> {
    const socket = connect(tcp, at);
    let heard = '';
    socket.on('error', () => undefined);
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
    });
    socket.setTimeout(10_000, () => socket.destroy(new Error('not closed')));
    socket.write('hello');
    await new Promise((resolve) => socket.on('close', resolve));
    return heard;
  }

  it('is refused without the opt-in, HTTP and TCP, before the application sees anything', async () => {
    await assert.rejects(call(POD, '/public/'), /ECONNRESET|socket hang up/);
    assert.equal(await refused(POD), '');
    assert.deepEqual(seen, []);
    assert.equal((await call(FRIEND, '/public/')).status, 200, 'mTLS is taken');
  });

  describe('with the opt-in', () => {
    before(() => accept(true));
    after(() => accept(false));

    it('is answered: HTTP/1.1, HTTP/2 and TCP, whatever the Host and the path', async () => {
      assert.equal((await call(POD, '/staff/payroll', { host: 'example.com' })).status, 200);
      const session = connectHttp2(`http://${POD}:${http2}`);
      const stream = session.request({ ':path': '/two' });
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      session.close();
      assert.equal(headers[':status'], 200);
      const held = new Held(POD);
      await held.echoes('plain.');
      held.socket.destroy();
      assert.deepEqual(seen, ['GET /staff/payroll', 'GET /two', 'connection']);
    });

    it('carries nothing that claims to come from the mesh, in either direction', async () => {
      const { headers, received } = await call(POD, '/', {
        'x-forwarded-client-cert':
          'By=spiffe://cluster.local/ns/shop/sa/store;URI=spiffe://cluster.local/ns/shop/sa/buyer',
        'x-osm-denied': 'forged',
        'x-osm-not-sent': '1',
        'x-osm-reset': '1',
        'x-mine': 'kept',
      });
      assert.deepEqual(Object.keys(received).toSorted(), ['host', 'x-forwarded-proto', 'x-mine']);
      assert.deepEqual(
        [headers['x-osm-denied'], headers['x-osm-not-sent'], headers['x-osm-reset'], headers['server']],
        [undefined, undefined, undefined, undefined],
      );
    });

    it('leaves callers of the mesh under their policies', async () => {
      const staff = await call(FRIEND, '/staff/payroll');
      assert.deepEqual([staff.status, staff.headers['x-osm-denied']], [403, 'no-route']);
      const thief = await call(STRANGER, '/public/');
      assert.deepEqual([thief.status, thief.headers['x-osm-denied']], [403, 'not-allowed']);
      assert.equal(await refused(STRANGER), '');
      assert.deepEqual(seen, []);
      assert.equal((await call(FRIEND, '/public/')).status, 200);
    });

    it('is not TLS: without a certificate of the mesh nobody gets through', async () => {
      for (const servername of ['db', 'example.com']) {
        const socket = connectTls({ host: POD, port: tcp, servername, rejectUnauthorized: false });
        socket.setTimeout(10_000, () => socket.destroy(new Error('not closed')));
        socket.on('secureConnect', () => assert.fail(`a handshake as ${servername} succeeded`));
        socket.on('error', () => undefined);
        await new Promise((resolve) => socket.on('close', resolve));
      }
      assert.deepEqual(seen, []);
    });

    it('is counted apart from what comes by mTLS', async () => {
      assert.ok((await server.stat('http.plaintext.downstream_rq_2xx')) >= 3);
      assert.ok((await server.stat('tcp.plaintext.downstream_cx_total')) >= 1);
      const before = await server.stat('http.plaintext.downstream_rq_total');
      await call(FRIEND, '/public/');
      assert.equal(await server.stat('http.plaintext.downstream_rq_total'), before);
    });
  });

  it('is switched on and off without a word to connections of the mesh; its own end with the drain', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const held = new Held(FRIEND);
    await held.echoes('start.');
    assert.equal((await call(FRIEND, '/public/', {}, agent)).status, 200);
    const handshakes = await server.stat(`listener.${POD}_${http}.ssl.handshake`);
    assert.ok(handshakes >= 2, `${handshakes} handshakes`);

    await accept(true);
    const plain = new Held(POD);
    await plain.echoes('plain.');
    await held.echoes('on.');
    const closed = once(plain.socket, 'close');
    await accept(false);
    await held.echoes('off.');
    await closed;
    await eventually(
      'the drain ends',
      async () =>
        (await server.stat('listener_manager.total_filter_chains_draining')) === 0 &&
        (await server.stat('listener_manager.total_listeners_draining')) === 0,
      { deadlineMs: 20_000, everyMs: 100 },
    );
    await held.echoes('drained.');
    assert.equal((await call(FRIEND, '/public/', {}, agent)).status, 200);
    assert.equal(await server.stat(`listener.${POD}_${http}.ssl.handshake`), handshakes, 'a new connection was made');
    await assert.rejects(call(POD, '/public/'), /ECONNRESET|socket hang up/);
    assert.equal(await refused(POD), '');
    held.socket.destroy();
    agent.destroy();
  });
});
