/** The bootstrap on a real Envoy: valid, small, and each rewritten probe answered as the application would. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync, mkdirSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import { connect as connectHttp2, createSecureServer, createServer as createHttp2Server } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { webcrypto } from 'node:crypto';
import { ensureEnvoy } from '#test/cluster/programs.ts';
import { eventually } from '#test/support/eventually.ts';
import { injectSettings } from '#test/unit/webhook/settings.ts';
import { bootstrapArgument } from '#webhook/inject/bootstrap.ts';
import { sidecarContainer } from '#webhook/inject/containers.ts';
import { TOKEN_DIRECTORY, TRUST_DIRECTORY } from '#webhook/inject/names.ts';
import { type ProbeTarget, probePath } from '#webhook/inject/probes.ts';
import { type Delay, stopDelays } from '#webhook/inject/shutdown.ts';
import { trustConfigMapData } from '#webhook/inject/trust.ts';

const podAddress = '127.0.0.1';

describe('bootstrap on a real Envoy', function () {
  this.timeout(120_000);
  let envoy: string;
  let directory: string;
  let admin: number;
  let ready: number;
  const running: ChildProcess[] = [];
  const servers: { close(): unknown }[] = [];

  before(async () => {
    envoy = await ensureEnvoy();
    [admin, ready] = [await freePort(), await freePort()];
    directory = mkdtempSync(join(tmpdir(), 'osm-bootstrap-'));
    mkdirSync(join(directory, 'trust'));
    mkdirSync(join(directory, 'token'));
  });

  afterEach(async () => {
    await Promise.all(
      running.splice(0).map(async (child) => {
        if (child.exitCode !== null) return;
        child.kill();
        await once(child, 'exit');
      }),
    );
    for (const server of servers.splice(0)) server.close();
  });

  after(() => rmSync(directory, { recursive: true }));

  /** What the kubelet and the mounts would make of it, on ports of this test's own. */
  function onThisMachine(text: string, controller = 15128): string {
    return text
      .replaceAll(/\$\$|\$\(POD_IP\)/g, (found) => (found === '$$' ? '$' : podAddress))
      .replaceAll(TRUST_DIRECTORY, join(directory, 'trust'))
      .replaceAll(TOKEN_DIRECTORY, join(directory, 'token'))
      .replaceAll('"port_value":15000', `"port_value":${admin}`)
      .replaceAll('"port_value":15904', `"port_value":${ready}`)
      .replace(
        '"address":"osm-controller.osm-system.svc","port_value":15128',
        `"address":"127.0.0.1","port_value":${controller}`,
      );
  }

  function writeTrust(caPem: string, token: string): void {
    for (const [name, text] of Object.entries(trustConfigMapData(caPem, 'osm-system'))) {
      writeFileSync(join(directory, 'trust', name), onThisMachine(text));
    }
    writeFileSync(join(directory, 'token', 'token'), token);
  }

  function start(config: string, more: readonly string[] = []): () => string {
    const child = spawn(
      envoy,
      [
        '--concurrency',
        '1',
        '--disable-hot-restart',
        '--service-node',
        'shop/web/1',
        '--service-cluster',
        'web.shop',
        '--log-level',
        'warning',
        '--config-yaml',
        config,
        ...more,
      ],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    );
    running.push(child);
    let log = '';
    child.stderr?.on('data', (chunk: Buffer) => (log += chunk.toString()));
    return () => log;
  }

  /** Without the controller, for whose configuration a sidecar waits before it listens at all. */
  function alone(probes: ProbeTarget[], delays: Delay[] = []): string {
    const config = JSON.parse(
      onThisMachine(bootstrapArgument({ controlPlaneNamespace: 'osm-system', probes, delays })),
    ) as Record<string, unknown>;
    delete config['dynamic_resources'];
    return JSON.stringify(config);
  }

  const target = (changes: Partial<ProbeTarget>): ProbeTarget => ({
    slot: 'liveness',
    container: 'web',
    kind: 'http',
    listen: 15901,
    port: 8080,
    path: '/live',
    ...changes,
  });

  it('is valid, and holds its size: 4 KB without probes, 1 KB more for each', () => {
    writeTrust('', 'token');
    const kinds: ProbeTarget[] = [
      target({ path: '/live?cost=$5&q="quoted"' }),
      target({ slot: 'readiness', kind: 'tcp', listen: 15902, port: 3306, path: '' }),
      target({ slot: 'startup', kind: 'https', listen: 15910, port: 8443, path: '' }),
      target({ slot: 'prestop', kind: 'grpc', listen: 15911, port: 9000, path: '' }),
    ];
    const none = bootstrapArgument({ controlPlaneNamespace: 'osm-system', probes: [] }).length;
    assert.ok(none <= 4096, `${none} bytes`);
    for (const one of kinds) {
      const more = bootstrapArgument({ controlPlaneNamespace: 'osm-system', probes: [one] }).length - none;
      // The user's own path stands there twice, once to be restored, and may be of any length.
      const own = 2 * one.path.length;
      assert.ok(more - own <= 1024, `a ${one.kind} probe takes ${more} bytes, of which ${own} are the user's`);
    }
    const config = onThisMachine(bootstrapArgument({ controlPlaneNamespace: 'osm-system', probes: kinds }));
    execFileSync(
      envoy,
      ['--mode', 'validate', '--service-node', 'n', '--service-cluster', 'c', '--config-yaml', config],
      { stdio: 'pipe' },
    );
    const broken = config.replace('"cluster":"envoy-admin"', '"cluster":"no-such-cluster"');
    assert.throws(() =>
      execFileSync(
        envoy,
        ['--mode', 'validate', '--service-node', 'n', '--service-cluster', 'c', '--config-yaml', broken],
        { stdio: 'pipe' },
      ),
    );
  });

  it('shows the controller its token over checked TLS, and the next one when the file is replaced', async () => {
    const authority = await servingPair('osm-controller.osm-system.svc');
    const seen: string[] = [];
    const controller = createSecureServer({ cert: authority.cert, key: authority.key });
    controller.on('stream', (stream, headers) => {
      seen.push(`${headers[':path'] ?? ''} ${headers.authorization ?? 'no token'}`);
      stream.on('error', () => {});
      stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '14' }, { endStream: true });
    });
    servers.push(controller);
    writeTrust(authority.cert, 'first-token');
    const log = start(
      onThisMachine(bootstrapArgument({ controlPlaneNamespace: 'osm-system', probes: [] }), await listen(controller)),
    );
    const path = '/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources';
    const shown = (token: string) =>
      eventually(`Envoy shows ${token}`, async () => seen.includes(`${path} ${token}`), {
        deadlineMs: 30_000,
        everyMs: 50,
        state: async () => `${seen.join('\n')}\n${log()}`,
      });
    await shown('first-token');
    // As the kubelet does it: the new file is moved into the directory.
    writeFileSync(join(directory, 'next'), 'second-token');
    execFileSync('mv', [join(directory, 'next'), join(directory, 'token', 'token')]);
    await shown('second-token');
    assert.equal(
      seen.some((line) => line.endsWith('no token')),
      false,
      seen.join('\n'),
    );
    // No configuration has come: the sidecar must not say that it is ready.
    // No configuration has come: nothing listens yet, so that the startup probe fails and the application waits.
    await assert.rejects(fetch(`http://${podAddress}:${ready}/ready`), { message: 'fetch failed' });
  });

  it('does not speak to a controller that another authority vouches for', async () => {
    const [authority, stranger] = [
      await servingPair('osm-controller.osm-system.svc'),
      await servingPair('osm-controller.osm-system.svc'),
    ];
    let streams = 0;
    let handshakes = 0;
    const controller = createSecureServer({ cert: stranger.cert, key: stranger.key });
    controller.on('stream', () => streams++);
    controller.on('tlsClientError', () => handshakes++);
    servers.push(controller);
    writeTrust(authority.cert, 'token');
    start(
      onThisMachine(bootstrapArgument({ controlPlaneNamespace: 'osm-system', probes: [] }), await listen(controller)),
    );
    await eventually('two handshakes failed', async () => handshakes >= 2, { deadlineMs: 30_000, everyMs: 50 });
    assert.equal(streams, 0);
  });

  it('drains as long as the MeshConfig says', async () => {
    const { args = [] } = sidecarContainer(injectSettings({ drainSeconds: 61 }), { probes: [], delays: [] });
    const from = args.indexOf('--drain-time-s');
    start(alone([]), args.slice(from, from + 4));
    const options = await eventually('the admin interface', async () => {
      const answer = await fetch(`http://127.0.0.1:${admin}/server_info`);
      return (await answer.json()) as { command_line_options: { drain_time: string; drain_strategy: string } };
    });
    const { drain_time: time, drain_strategy: strategy } = options.command_line_options;
    assert.deepEqual([time, strategy], ['61s', 'Immediate']);
  });

  it('passes probes on, and answers TCP ones from its own checks within 3 s of a stop', async () => {
    const application: Server = createServer((request, response) => {
      response.statusCode = request.url === '/live?x=1' ? 204 : request.url === '/moved' ? 302 : 500;
      if (response.statusCode === 302) response.setHeader('location', '/elsewhere');
      response.end();
    });
    servers.push(application);
    const applicationPort = await listen(application);
    const database = createTcpServer((socket) => socket.end());
    const databasePort = await listen(database);
    const [http, tcp, raw] = [await freePort(), await freePort(), await freePort()];
    const live = target({ listen: http, port: applicationPort, path: '/live?x=1' });
    const moved = target({ container: 'moved', listen: http, port: applicationPort, path: '/moved' });
    const connects = target({ slot: 'readiness', kind: 'tcp', listen: tcp, port: databasePort, path: '' });
    const passed = target({ slot: 'startup', kind: 'https', listen: raw, port: applicationPort, path: '' });
    writeTrust((await servingPair('x')).cert, 'token');
    const log = start(alone([live, moved, connects, passed]));
    const status = async (port: number, path: string) =>
      (await fetch(`http://${podAddress}:${port}${path}`, { redirect: 'manual' })).status;
    await eventually('the liveness probe is passed on', async () => (await status(http, probePath(live))) === 204, {
      deadlineMs: 20_000,
      everyMs: 50,
      state: async () => log(),
    });
    assert.equal(await status(http, probePath(moved)), 302);
    assert.equal(
      (await fetch(`http://${podAddress}:${http}${probePath(moved)}`, { redirect: 'manual' })).headers.get('location'),
      null,
    );
    assert.equal(await status(http, '/live'), 404);
    // Everybody reaches these ports: nothing but the kubelet's own question may pass.
    const post = await fetch(`http://${podAddress}:${http}${probePath(live)}`, { method: 'POST', body: 'x' });
    assert.equal(post.status, 404);
    assert.equal(await status(http, `${probePath(live)}?x=2`), 404);
    assert.equal(await status(ready, '/ready'), 200);
    assert.equal(await status(ready, '/config_dump'), 404);
    assert.equal(await status(raw, '/live?x=1'), 204);
    await eventually('the database accepts', async () => (await status(tcp, probePath(connects))) === 200, {
      deadlineMs: 10_000,
      everyMs: 50,
    });
    database.close();
    await eventually('its stop is seen', async () => (await status(tcp, probePath(connects))) === 503, {
      deadlineMs: 3_000,
      everyMs: 50,
    });
  });

  it('passes on gRPC health checks, and no other call of the port', async () => {
    const asked: string[] = [];
    const application = createHttp2Server();
    application.on('stream', (stream, headers) => {
      asked.push(headers[':path'] ?? '');
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end();
    });
    servers.push(application);
    const port = await listen(application);
    const listenPort = await freePort();
    writeTrust((await servingPair('x')).cert, 'token');
    const log = start(alone([target({ slot: 'readiness', kind: 'grpc', listen: listenPort, port, path: '' })]));
    const call = async (path: string): Promise<string> => {
      const client = connectHttp2(`http://${podAddress}:${listenPort}`);
      client.on('error', () => {});
      try {
        const stream = client.request({
          ':method': 'POST',
          ':path': path,
          'content-type': 'application/grpc',
          te: 'trailers',
        });
        stream.end();
        const [headers] = (await once(stream, 'response')) as [Record<string, string>];
        if (headers['grpc-status'] !== undefined) return `grpc-status ${headers['grpc-status']}`;
        const trailers = once(stream, 'trailers') as Promise<[Record<string, string>]>;
        stream.resume();
        return `grpc-status ${(await trailers)[0]['grpc-status']}`;
      } finally {
        client.close();
      }
    };
    const health = '/grpc.health.v1.Health/Check';
    await eventually(
      'the health check is passed on',
      async () => (await call(health).catch(() => '')) === 'grpc-status 0',
      { deadlineMs: 20_000, everyMs: 50, state: async () => log() },
    );
    assert.equal(await call('/shop.Orders/DeleteAll'), 'grpc-status 12');
    assert.deepEqual(new Set(asked), new Set([health]));
  });

  it('answers the hooks of an ordinary sidecar when their time is over, and is ready meanwhile', async () => {
    writeTrust((await servingPair('x')).cert, 'token');
    const log = start(alone([], stopDelays(2, 1)));
    const status = async (path: string) => (await fetch(`http://${podAddress}:${ready}${path}`)).status;
    await eventually('it is ready', async () => (await status('/ready')) === 200, {
      deadlineMs: 20_000,
      everyMs: 50,
      state: async () => log(),
    });
    const started = performance.now();
    const order: string[] = [];
    const asked = async (path: string, code: number) => {
      assert.equal(await status(path), code, path);
      order.push(path);
      return performance.now() - started;
    };
    const [hold, sleep, meanwhile] = await Promise.all([
      asked('/osm-hold', 200),
      asked('/osm-sleep', 200),
      asked('/ready', 200),
    ]);
    assert.deepEqual(order, ['/ready', '/osm-sleep', '/osm-hold']);
    assert.ok(hold >= 1_990 && sleep >= 990 && meanwhile < 1_000, `${hold} ${sleep} ${meanwhile} ms`);
  });
});

async function listen(server: {
  listen(port: number, host: string): unknown;
  address(): AddressInfo | string | null;
  once(event: 'listening', done: () => void): unknown;
}): Promise<number> {
  const listening = new Promise<void>((done) => server.once('listening', done));
  server.listen(0, podAddress);
  await listening;
  return (server.address() as AddressInfo).port;
}

async function freePort(): Promise<number> {
  const server = createTcpServer();
  const port = await listen(server);
  await new Promise((done) => server.close(done));
  return port;
}

/** A certificate that is its own authority. */
async function servingPair(name: string): Promise<{ cert: string; key: string }> {
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    keys,
    name: `CN=${name}`,
    notAfter: new Date(Date.now() + 3_600_000),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    extensions: [
      new x509.BasicConstraintsExtension(true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: name }]),
    ],
  });
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return { cert: certificate.toString('pem'), key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n` };
}
