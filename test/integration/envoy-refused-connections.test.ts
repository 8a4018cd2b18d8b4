/** A connection that a sidecar refuses before any request leaves one line that says why, and one that it lets in leaves none. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type IncomingMessage, type Server, createServer, request } from 'node:http';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import type { AccountKey } from '#mesh/identity.ts';
import type { InboundChain } from '#mesh/view.ts';
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
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';

const POD = '127.0.9.1';
const CALLER = '127.0.9.2';
const STORE = 'store.shop.svc.cluster.local';
const PATIENCE_MS = 5_000;

interface Line {
  readonly reason: string;
  readonly downstream_transport_failure_reason: string | null;
  readonly downstream_remote_address: string;
  readonly downstream_local_address: string;
  readonly downstream_peer_uri_san: string | null;
  readonly requested_server_name: string | null;
}

describe('connections that a sidecar refuses', function () {
  this.timeout(60_000);

  const envoys: RunningEnvoy[] = [];
  const applications: Server[] = [];
  let server: RunningEnvoy;
  let authority: TestAuthority;
  let elsewhere: TestAuthority;
  let impostor: TestAuthority;
  let http = 0;
  let tcp = 0;
  let open = 0;

  before(async () => {
    [http, tcp, open] = [await freePort(), await freePort(), await freePort()];
    // The impostor says that it is of the same trust domain: as the control plane's own authority could.
    [authority, elsewhere, impostor] = await Promise.all([
      testAuthority(),
      testAuthority('elsewhere.example'),
      testAuthority(),
    ]);
    for (const port of [http, open]) {
      const application = createServer((_, answer) => answer.end('hello')).listen(port, '127.0.0.1');
      applications.push(application);
      await once(application, 'listening');
    }
    const forBuyer = { kind: 'accounts', accounts: ['shop/buyer' as AccountKey] } as const;
    const database: InboundChain = {
      key: 'db',
      name: 'shop/db',
      targetPort: tcp,
      sni: 'db',
      protocol: 'tcp',
      policy: { kind: 'tcp', allowed: forBuyer },
    };
    const inbound = inboundView({
      chains: [httpChain('store', http, [inboundRoute('.*', forBuyer)]), database],
      plaintext: [{ targetPort: open, protocol: 'http' }],
    });
    server = await started(
      staticBootstrap(
        translateView({ inbound, outbound: outboundView() }).filter(({ name }) => name !== 'outbound'),
        {
          listenOn: { inbound: [http, tcp, open].map((port) => ({ address: POD, port })) },
          secrets: translateSecrets(await authority.issue('shop/store')),
        },
      ),
    );
  });

  after(async () => {
    for (const application of applications) application.close();
    await Promise.all(envoys.map((it) => it.stop()));
  });

  async function started(bootstrap: Parameters<typeof startEnvoy>[0]): Promise<RunningEnvoy> {
    const envoy = await startEnvoy(bootstrap);
    envoys.push(envoy);
    return envoy;
  }

  function lines(): Line[] {
    const complete = server.output().split('\n').slice(0, -1);
    return complete.map((line) => JSON.parse(line) as Line);
  }

  /** What one attempt adds: one line, and no other. */
  async function lineOf(attempt: () => Promise<unknown>): Promise<Line> {
    const former = lines().length;
    await attempt();
    const added = await eventually(
      'a line',
      async () => {
        const seen = lines().slice(former);
        return seen.length > 0 && seen;
      },
      { deadlineMs: PATIENCE_MS, everyMs: 50 },
    );
    assert.equal(added.length, 1, JSON.stringify(added));
    return added[0]!;
  }

  async function credentials(by: TestAuthority, account: AccountKey): Promise<ConnectionOptions> {
    const { workload } = await by.issue(account);
    return { cert: workload.certificateChain, key: workload.privateKey() };
  }

  /** Speaks TLS as a sidecar would, but for what `options` change; gives all that comes back. */
  async function overTls(options: ConnectionOptions, port = http): Promise<string> {
    const socket = connectTls({
      host: POD,
      port,
      servername: STORE,
      ALPNProtocols: ['osm'],
      rejectUnauthorized: false,
      ...options,
    });
    socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nhost: store.shop\r\nconnection: close\r\n\r\n'));
    return heard(socket);
  }

  function inPlaintext(words: string, port = http): Promise<string> {
    const socket = connect(port, POD);
    if (words === '') socket.end();
    else socket.write(words);
    return heard(socket);
  }

  function heard(socket: ReturnType<typeof connect>): Promise<string> {
    let received = '';
    socket.on('data', (chunk: Buffer) => (received += chunk.toString()));
    socket.on('error', (error: Error & { code?: string }) => (received += error.code ?? error.message));
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('not closed in time')));
    return new Promise((resolve) => socket.on('close', () => resolve(received)));
  }

  const refused: readonly {
    readonly what: string;
    readonly attempt: () => Promise<unknown>;
    readonly reason: string;
    readonly failure?: RegExp;
    readonly san?: string;
    readonly name?: string;
  }[] = [
    {
      what: 'a certificate of another trust domain',
      attempt: async () => overTls(await credentials(elsewhere, 'shop/buyer')),
      reason: 'tls-handshake-refused',
      failure: /no_trust_bundle_store/,
      san: 'spiffe://elsewhere.example/ns/shop/sa/buyer',
      name: STORE,
    },
    {
      what: 'the right name, signed by an authority that is not trusted',
      attempt: async () => overTls(await credentials(impostor, 'shop/buyer')),
      reason: 'tls-handshake-refused',
      failure: /certificate_signature_failure|unable_to_get_local_issuer/,
      san: 'spiffe://cluster.local/ns/shop/sa/buyer',
      name: STORE,
    },
    {
      what: 'no certificate',
      attempt: () => overTls({}),
      reason: 'tls-handshake-refused',
      failure: /PEER_DID_NOT_RETURN_A_CERTIFICATE/,
      name: STORE,
    },
    {
      what: 'an account that the TCP service does not allow',
      attempt: async () => overTls({ ...(await credentials(authority, 'shop/thief')), servername: 'db' }, tcp),
      reason: 'tls-handshake-refused',
      failure: /SAN_match/,
      san: 'spiffe://cluster.local/ns/shop/sa/thief',
      name: 'db',
    },
    {
      what: 'a service that is not here',
      attempt: async () => overTls({ ...(await credentials(authority, 'shop/buyer')), servername: 'gone.shop' }),
      reason: 'server-name-unknown',
      name: 'gone.shop',
    },
    {
      what: 'TLS that is not a sidecar’s',
      attempt: async () => overTls({ ...(await credentials(authority, 'shop/buyer')), ALPNProtocols: ['http/1.1'] }),
      reason: 'server-name-unknown',
      name: STORE,
    },
    {
      what: 'plaintext HTTP',
      attempt: () => inPlaintext('GET / HTTP/1.1\r\nhost: store.shop\r\n\r\n'),
      reason: 'plaintext-refused',
    },
    { what: 'plaintext of another kind', attempt: () => inPlaintext('hello\n', tcp), reason: 'plaintext-refused' },
  ];
  for (const { what, attempt, reason, failure, san, name } of refused) {
    it(`${what} → ${reason}`, async () => {
      const line = await lineOf(attempt);
      assert.equal(line.reason, reason);
      assert.match(line.downstream_transport_failure_reason ?? '', failure ?? /^/);
      assert.equal(line.downstream_peer_uri_san, san ?? null);
      assert.equal(line.requested_server_name, name ?? null);
      assert.match(line.downstream_remote_address, /^127\.0\.0\.1:\d+$/);
      assert.match(line.downstream_local_address, new RegExp(`^${POD}:(${http}|${tcp})$`));
    });
  }

  it('names in it are quoted and cut: a caller cannot write a line of its own, nor a long one', async () => {
    const forged = `buyer\n{"reason":"forged"}${'x'.repeat(4000)}` as const;
    const line = await lineOf(async () => overTls(await credentials(elsewhere, `shop/${forged}`)));
    assert.equal(line.reason, 'tls-handshake-refused');
    assert.ok((line.downstream_peer_uri_san ?? '').length <= 512, line.downstream_peer_uri_san ?? '');
    assert.ok(JSON.stringify(line).length < 2_000);
  });

  it('who is let in leaves no line, nor does one who comes and goes without a word', async () => {
    const line = await lineOf(async () => {
      const good = await credentials(authority, 'shop/buyer');
      assert.match(await overTls(good), /^HTTP\/1\.1 200/);
      assert.match(await overTls(await credentials(authority, 'shop/thief')), /^HTTP\/1\.1 403/, 'said by the answer');
      const opted = 'GET / HTTP/1.1\r\nhost: store.shop\r\nconnection: close\r\n\r\n';
      assert.match(await inPlaintext(opted, open), /^HTTP\/1\.1 200/, 'where plaintext is taken');
      await inPlaintext('');
      const scan = connect(http, POD);
      await once(scan, 'connect');
      scan.resetAndDestroy();
      await inPlaintext('this one is refused\n'); // lines are written in the order in which connections end
    });
    assert.equal(line.reason, 'plaintext-refused');
  });

  it('one who waits for the server’s first word leaves a line when the listener gives up', async () => {
    const line = await lineOf(() => once(connect(tcp, POD).resume(), 'close'));
    assert.equal(line.reason, 'silent-caller');
    assert.equal(line.downstream_transport_failure_reason, null);
    assert.match(line.downstream_remote_address, /^127\.0\.0\.1:\d+$/);
    assert.equal(line.downstream_local_address, `${POD}:${tcp}`);
  });

  it('the caller’s side that refuses says 503 and counts why; the server’s line says that it was the caller', async () => {
    const outbound = outboundView({
      httpPorts: [
        {
          port: http,
          addresses: [CALLER],
          routes: { key: 'r', name: 'outbound', virtualHosts: [virtualHost('store', http, 'shop/store|80|0')] },
        },
      ],
      // It expects another account than the one that answers, so it is the caller's side that refuses.
      clusters: [cluster('store', 80, { accounts: ['shop/other'] })],
    });
    const caller = await started(
      staticBootstrap(
        [
          ...translateView({ inbound: inboundView(), outbound }),
          translateEndpoints(assignment('shop/store|80|0', [POD, http])),
        ],
        {
          listenOn: { outbound: [{ address: CALLER, port: http }] },
          secrets: translateSecrets(await authority.issue('shop/buyer')),
        },
      ),
    );
    const former = lines().length;
    const call = request({ host: CALLER, port: http, agent: false, headers: { host: 'store.shop' } }).end();
    const [answer] = (await once(call, 'response')) as [IncomingMessage];
    assert.equal(answer.statusCode, 503);
    assert.match(await text(answer), /remote connection failure/);
    assert.ok((await caller.stat('cluster.shop/store|80|0.ssl.fail_verify_san')) > 0);
    await eventually('a line', async () => lines().length > former, { deadlineMs: PATIENCE_MS, everyMs: 50 });
    for (const line of lines().slice(former)) {
      assert.equal(line.reason, 'tls-handshake-refused');
      assert.match(line.downstream_transport_failure_reason ?? '', /ALERT/);
    }
  });
});
