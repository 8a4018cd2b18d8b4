/**
 * What the greatest age of a connection between two sidecars does: connections that grew older are replaced, so a certificate
 * that was renewed is the one in use from then on, and no request or stream is lost by it. Each end is tried alone too, as
 * the other one may still have a configuration without the limit. Bound to addresses as in envoy-traffic.test.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { Agent, type IncomingMessage, type Server, createServer, request } from 'node:http';
import { type ClientHttp2Session, type Http2Server, connect, createServer as createHttp2Server } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AccountKey } from '#mesh/identity.ts';
import { type RunningEnvoy, freePort, startEnvoy } from '#test/support/envoy.ts';
import { eventually } from '#test/support/eventually.ts';
import { type TestAuthority, testAuthority } from '#test/support/mesh-certificates.ts';
import { kindOf, resourceJson, staticBootstrap, withJson } from '#test/support/static-config.ts';
import {
  assignment,
  cluster,
  httpChain,
  inboundRoute,
  inboundView,
  outboundView,
  virtualHost,
} from '#test/support/views.ts';
import type { Resource } from '#xds/resource.ts';
import { translateEndpoints, translateSecrets, translateView } from '#xds/translate/translate.ts';

const SERVICE = '127.0.5.1';
const POD = '127.0.6.1';
const LIMIT_MS = 1000;
/** Envoy's, between the two GOAWAYs of a server that wants a connection to end. */
const DRAIN_MS = 5000;

const ends = [
  { who: 'both ends', caller: LIMIT_MS, server: LIMIT_MS },
  { who: 'the caller’s end alone', caller: LIMIT_MS, server: 0 },
  { who: 'the server’s end alone', caller: 0, server: LIMIT_MS },
  { who: 'neither end', caller: 0, server: 0 },
] as const;

for (const { who, caller, server } of ends) {
  describe(`connections between sidecars with a greatest age at ${who}`, function () {
    this.timeout(60_000);

    let directory: string;
    let authority: TestAuthority;
    let application: Server;
    let streaming: Http2Server;
    const envoys: RunningEnvoy[] = [];
    const sessions: ClientHttp2Session[] = [];
    let buyer: RunningEnvoy;
    let http = 0;
    let grpc = 0;

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), 'osm-age-'));
      [http, grpc, authority] = [await freePort(), await freePort(), await testAuthority()];
      application = createServer((call, answer) => {
        call.pipe(answer.setHeader('x-seen-caller', call.headers['x-caller'] ?? ''));
      });
      streaming = createHttp2Server();
      streaming.on('stream', (stream, headers) => {
        stream.on('error', () => undefined);
        stream.respond({ ':status': 200, 'x-seen-caller': headers['x-caller'] });
        stream.pipe(stream);
      });
      application.listen(http, '127.0.0.1');
      streaming.listen(grpc, '127.0.0.1');
      await Promise.all([once(application, 'listening'), once(streaming, 'listening')]);

      const forBuyer = { kind: 'accounts', accounts: ['shop/buyer' as AccountKey] } as const;
      const chains = [
        httpChain('store', http, [inboundRoute('.*', forBuyer)]),
        { ...httpChain('feed', grpc, [inboundRoute('.*', forBuyer)]), protocol: 'grpc' } as const,
      ];
      await startSidecar(
        'store',
        POD,
        translateView({
          outbound: outboundView(),
          inbound: inboundView({ chains, maxConnectionMs: server }),
        }),
      );
      const httpPort = (service: string, port: number) => ({
        port,
        addresses: [SERVICE],
        routes: {
          key: service,
          name: `outbound.${port}`,
          virtualHosts: [virtualHost(service, port, `shop/${service}|${port}|0`)],
        },
      });
      buyer = await startSidecar('buyer', SERVICE, [
        ...translateView({
          outbound: outboundView({
            httpPorts: [httpPort('store', http), httpPort('feed', grpc)],
            clusters: [
              cluster('store', http, { maxConnectionMs: caller }),
              cluster('feed', grpc, { maxConnectionMs: caller, protocol: 'grpc', accounts: ['shop/store'] }),
            ],
          }),
          inbound: inboundView(),
        }),
        translateEndpoints(assignment(`shop/store|${http}|0`, [POD, http])),
        translateEndpoints(assignment(`shop/feed|${grpc}|0`, [POD, grpc])),
      ]);
    });

    after(async () => {
      for (const session of sessions) session.destroy();
      await Promise.all(envoys.map((it) => it.stop()));
      application?.closeAllConnections();
      application?.close();
      streaming?.close();
      await rm(directory, { recursive: true, force: true });
    });

    const secretFile = (service: string): string => join(directory, `${service}.json`);

    /** A new certificate of the account, in one step, as Envoy's watch wants it. */
    async function certify(service: string): Promise<readonly Resource[]> {
      const secrets = translateSecrets(await authority.issue(`shop/${service}`));
      const workload = secrets
        .filter(({ name }) => name === 'workload')
        .map((secret) => ({
          '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret',
          ...resourceJson(secret),
        }));
      await writeFile(`${secretFile(service)}.fresh`, JSON.stringify({ resources: workload }));
      await rename(`${secretFile(service)}.fresh`, secretFile(service));
      return secrets;
    }

    async function startSidecar(service: string, at: string, resources: readonly Resource[]): Promise<RunningEnvoy> {
      const secrets = await certify(service);
      const listenOn = [http, grpc].map((port) => ({ address: at, port }));
      const bootstrap = staticBootstrap(
        resources.filter(({ name }) => service === 'buyer' || name !== 'outbound').map(telling),
        {
          listenOn: { inbound: listenOn, outbound: listenOn },
          secrets: secrets.filter(({ name }) => name !== 'workload'),
        },
      );
      const watched = JSON.parse(JSON.stringify(bootstrap), (_, value: unknown) =>
        isWorkloadReference(value)
          ? { ...value, sds_config: { path_config_source: { path: secretFile(service) } } }
          : value,
      ) as typeof bootstrap;
      const envoy = await startEnvoy(watched);
      envoys.push(envoy);
      return envoy;
    }

    /** Answers say in `x-server` which certificate the server showed; calls in `x-caller` which one the caller did. */
    function telling(resource: Resource): Resource {
      if (kindOf(resource) !== 'RouteConfiguration') return resource;
      const said = (key: string, value: string) => [{ header: { key, value } }];
      return withJson(
        resource,
        resource.name.startsWith('outbound')
          ? { ...resourceJson(resource), response_headers_to_add: said('x-server', '%UPSTREAM_PEER_CERT%') }
          : { ...resourceJson(resource), request_headers_to_add: said('x-caller', '%DOWNSTREAM_PEER_SERIAL%') },
      );
    }

    /** Both certificates that an answer tells of. */
    type Shown = string;
    const shown = (headers: Readonly<Record<string, unknown>>): Shown =>
      `${String(headers['x-seen-caller'])} ${String(headers['x-server'])}`;

    const agent = new Agent({ keepAlive: true });

    /** POST, which nothing repeats once it was sent. */
    async function post(): Promise<Shown> {
      const call = request({ host: SERVICE, port: http, method: 'POST', agent, headers: { host: 'store.shop' } });
      call.end('order');
      const [answer] = (await once(call, 'response')) as [IncomingMessage];
      let body = '';
      for await (const piece of answer.setEncoding('utf8')) body += String(piece);
      assert.deepEqual([answer.statusCode, body], [200, 'order']);
      return shown(answer.headers);
    }

    function session(): ClientHttp2Session {
      const made = connect(`http://${SERVICE}:${grpc}`);
      sessions.push(made);
      return made;
    }

    const open = (on: ClientHttp2Session) =>
      on.request({ ':method': 'POST', ':path': '/feed', ':authority': 'feed.shop' });

    async function unary(on: ClientHttp2Session): Promise<Shown> {
      const stream = open(on);
      stream.end('order');
      const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
      let body = '';
      for await (const piece of stream.setEncoding('utf8')) body += String(piece);
      assert.deepEqual([headers[':status'], body], [200, 'order']);
      return shown(headers);
    }

    /** Eight callers without a pause, until `enough`. What fails ends it. */
    async function load(call: () => Promise<Shown>, enough: (seen: Shown) => boolean): Promise<void> {
      let done = false;
      let calls = 0;
      const deadline = Date.now() + 20_000;
      await Promise.all(
        Array.from({ length: 8 }, async () => {
          try {
            while (!done) {
              const seen = await call();
              calls += 1;
              done ||= enough(seen);
              assert.ok(Date.now() < deadline, `after ${calls} calls still ${seen}`);
            }
          } finally {
            done = true;
          }
        }),
      );
    }

    const clusterOf = (service: string): string => `cluster.shop/${service}|${service === 'store' ? http : grpc}|0`;

    /** Renews both certificates under load, and waits until no connection is left that began with the old ones. */
    async function renewedUnderLoad(service: string, call: () => Promise<Shown>): Promise<void> {
      const [oldCaller, oldServer] = (await call()).split(' ');
      const of = clusterOf(service);
      let renewed = false;
      const renewal = Promise.all([certify('store'), certify('buyer')]).then(() => (renewed = true));
      let streak = 0;
      await load(call, (seen) => {
        const [nowCaller, nowServer] = seen.split(' ');
        streak = renewed && nowCaller !== oldCaller && nowServer !== oldServer ? streak + 1 : 0;
        return streak >= 1000;
      });
      await renewal;
      assert.ok((await buyer.stat(`${of}.upstream_cx_total`)) > 1, 'there was one connection');
      assert.equal(await buyer.stat(`${of}.upstream_rq_retry`), 0, 'a request had to be sent again');
    }

    if (caller + server === 0) {
      // Without this, the tests above would hold if Envoy replaced its connections anyway.
      it('a connection keeps the certificates that it began with', async () => {
        const first = await post();
        const taken = `${clusterOf('store')}.client_ssl_socket_factory.ssl_context_update_by_sds`;
        const before = await buyer.stat(taken);
        await Promise.all([certify('store'), certify('buyer')]);
        await eventually('Envoy takes the new certificate', async () => (await buyer.stat(taken)) > before, {
          deadlineMs: 10_000,
          everyMs: 20,
        });
        assert.equal(await post(), first);
        assert.equal(await buyer.stat(`${clusterOf('store')}.upstream_cx_total`), 1);
      });
      return;
    }

    it('HTTP/1.1: the renewed certificates are in use, and no request is lost', () => renewedUnderLoad('store', post));

    it('gRPC: the renewed certificates are in use, and no call is lost', async () => {
      const on = session();
      await renewedUnderLoad('feed', () => unary(on));
    });

    it('a stream goes on that is older than limit and drain together, and so does a slow answer', async () => {
      const reached = async (): Promise<number> => {
        const counters = ['upstream_cx_max_duration_reached', 'upstream_cx_close_notify'];
        const values = await Promise.all(counters.map((name) => buyer.stat(`${clusterOf('feed')}.${name}`)));
        return Math.max(...values);
      };
      const before = await reached();
      const stream = open(session());
      const slow = request({
        host: SERVICE,
        port: http,
        method: 'POST',
        agent: false,
        headers: { host: 'store.shop' },
      });
      slow.write('first');
      const [[answer]] = (await Promise.all([once(slow, 'response'), once(stream, 'response')])) as [
        [IncomingMessage],
        unknown,
      ];
      const heard = { stream: '', slow: '' };
      stream.setEncoding('utf8').on('data', (text: string) => (heard.stream += text));
      answer.setEncoding('utf8').on('data', (text: string) => (heard.slow += text));
      const until = Date.now() + LIMIT_MS + DRAIN_MS + 1500;
      let said = '';
      while (Date.now() < until) {
        said += '.';
        stream.write('.');
        slow.write('.');
        await eventually('both echo', () => Promise.resolve(heard.stream === said && heard.slow === `first${said}`), {
          deadlineMs: 5000,
          everyMs: 100,
        });
      }
      assert.ok((await reached()) > before, 'the connection has not reached its limit');
      stream.end();
      slow.end();
      await Promise.all([once(stream, 'end'), once(answer, 'end')]);
      assert.equal(stream.rstCode, 0);
      assert.ok(answer.complete);
    });
  });
}

function isWorkloadReference(value: unknown): value is { name: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'name' in value &&
    value.name === 'workload' &&
    Object.keys(value).length === 1
  );
}
