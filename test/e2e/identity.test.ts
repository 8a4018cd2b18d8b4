/** Proof, not belief: what is on the wire, who is refused, where, and with which reason. */
import assert from 'node:assert/strict';
import { connect as tlsConnect } from 'node:tls';
import { eventually } from '#test/support/eventually.ts';
import { makeClientCertificate, type Signer } from './support/certificates.ts';
import { lab } from './support/lab.ts';
import { httpRouteGroup, namespace, tcpRoute, trafficTarget, workload } from './support/manifests.ts';
import { answerTo } from './support/peers.ts';
import { refusedConnection } from './support/refused-connections.ts';

const NS = 'identity';
const SERVER = ['node', '/programs/http-server.mjs', '8080'];
const SLEEP = ['sleep', 'infinity'];

describe('identity and encryption', () => {
  before(async () => {
    await lab.meshIsUp();
    await lab.apply([namespace(NS, true), namespace('outside', false)]);
    await lab.apply([
      ...workload({
        namespace: NS,
        name: 'server',
        command: SERVER,
        ports: [{ name: 'http', port: 8080 }],
        readiness: '/',
      }),
      ...workload({
        namespace: NS,
        name: 'banner',
        command: ['node', '/programs/banner-server.mjs', '7000'],
        ports: [{ name: 'tcp-server-first-banner', port: 7000 }],
      }),
      ...workload({ namespace: NS, name: 'friend', command: SLEEP }),
      ...workload({ namespace: NS, name: 'stranger', command: SLEEP }),
      ...workload({ namespace: 'outside', name: 'naked', command: SLEEP }),
    ]);
    await lab.rolledOut(NS, 'server', 'banner', 'friend', 'stranger');
    await lab.rolledOut('outside', 'naked');
  });

  after(() => lab.setPermissive(true));

  describe('in permissive mode', () => {
    before(() => lab.setPermissive(true));

    it('a meshed pod is answered', async () => {
      const answer = await eventually('friend is answered', async () => {
        const { status, body } = await lab.curl(NS, 'friend', 'http://server:8080/hello');
        return status === 200 ? { body } : undefined;
      });
      assert.match(answer.body, /secret-of-the-application/);
    });

    it('a header that the application forges is stripped', async () => {
      const answer = await lab.curl(NS, 'friend', 'http://server:8080/hello');
      assert.equal(answer.headers['x-osm-denied'], undefined);
      assert.equal(answer.headers['x-osm-not-sent'], undefined);
    });

    it('a capture between two pods shows TLS and none of the text', async () => {
      // Between the two pods: the kubelet's probes are plaintext by design.
      const [client, server] = await Promise.all([lab.podIp(NS, 'friend'), lab.podIp(NS, 'server')]);
      const capture = await lab.capture(`tcp and host ${client} and host ${server}`);
      for (let i = 0; i < 5; i++) await lab.curl(NS, 'friend', 'http://server:8080/very-secret-path');
      await eventually('the capture holds the traffic', async () => capture.size() > 2000, {
        state: async () => `${capture.size()} bytes`,
      });
      const bytes = await capture.stop();
      assert.ok(!bytes.includes('secret-of-the-application'), 'the answer is readable on the wire');
      assert.ok(!bytes.includes('very-secret-path'), 'the request is readable on the wire');
      assert.ok(bytes.includes(Buffer.from([0x17, 0x03, 0x03])), 'there must be TLS records');
    });

    it('a pod outside the mesh is refused, by service and by pod address, on IPv4 and IPv6, and the sidecar says so', async () => {
      const since = new Date().toISOString();
      for (const ip of await lab.podIps(NS, 'server')) {
        const url = `http://${ip.includes(':') ? `[${ip}]` : ip}:8080/`;
        await assert.rejects(lab.curl('outside', 'naked', url), /exit code (52|56|35|7)/, `${url} must be refused`);
      }
      await assert.rejects(lab.curl('outside', 'naked', `http://server.${NS}:8080/`), /exit code (52|56|35|7)/);
      for (const ip of await lab.podIps('outside', 'naked')) {
        const from = `${ip.includes(':') ? `[${ip}]` : ip}:`;
        const line = await refusedConnection(NS, 'server', since, ({ downstream_remote_address: caller }) =>
          caller.startsWith(from),
        );
        assert.equal(line.reason, 'plaintext-refused');
      }
    });
  });

  describe('in SMI mode', () => {
    before(async () => {
      await lab.apply([
        httpRouteGroup(NS, 'hello', [{ name: 'hello', pathRegex: '/hello', methods: ['GET'] }]),
        trafficTarget('server', `${NS}/friend`, `${NS}/server`, {
          kind: 'HTTPRouteGroup',
          name: 'hello',
          matches: ['hello'],
        }),
        tcpRoute(NS, 'banner', [7000]),
        trafficTarget('banner', `${NS}/friend`, `${NS}/banner`, { kind: 'TCPRoute', name: 'banner' }),
      ]);
      await lab.setPermissive(false);
      await eventually(
        'the stranger is refused',
        async () => (await lab.curl(NS, 'stranger', 'http://server:8080/hello')).status === 403,
      );
    });

    it('the allowed account is answered on the allowed route, and on no other', async () => {
      assert.equal((await lab.curl(NS, 'friend', 'http://server:8080/hello')).status, 200);
      const other = await lab.curl(NS, 'friend', 'http://server:8080/other');
      assert.equal(other.status, 403);
      assert.equal(other.headers['x-osm-denied'], 'no-route');
    });

    it('another account gets 403, with the reason in x-osm-denied', async () => {
      const refused = await lab.curl(NS, 'stranger', 'http://server:8080/hello');
      assert.equal(refused.status, 403);
      assert.equal(refused.headers['x-osm-denied'], 'not-allowed');
    });

    it("and again from the server's side, when it goes around its own sidecar with a certificate made by hand", async () => {
      const answer = await aroundTheSidecar(
        `${NS}/stranger`,
        'server',
        8080,
        'GET /hello HTTP/1.1\r\nhost: server:8080\r\nconnection: close\r\n\r\n',
      );
      assert.match(answer, /^HTTP\/1.1 403/);
      assert.match(answer, /x-osm-denied: not-allowed/i);
      const allowed = await aroundTheSidecar(
        `${NS}/friend`,
        'server',
        8080,
        'GET /hello HTTP/1.1\r\nhost: server:8080\r\nconnection: close\r\n\r\n',
      );
      assert.match(allowed, /^HTTP\/1.1 200/, 'the same by hand as the allowed account: the certificate is good');
    });

    const forged: readonly (readonly [string, Signer, RegExp])[] = [
      ['of another trust domain, by the right root', { trustDomain: 'elsewhere.example' }, /no_trust_bundle_store/],
      ["by the control plane's own authority", { secret: 'osm-control-plane-ca' }, /X509_verify_cert/],
    ];
    for (const [what, by, failure] of forged) {
      it(`a certificate of the allowed account ${what}, is refused in the handshake, and the sidecar says why`, async () => {
        const since = new Date().toISOString();
        const serverName = `server.${NS}.svc.cluster.local`;
        const peer = { name: 'server', host: await lab.podIp(NS, 'server'), port: 8080, serverName, path: '/hello' };
        assert.equal(await answerTo(peer, `${NS}/friend`, {}), '200', 'the same account with the right certificate');
        assert.match(await answerTo(peer, `${NS}/friend`, by), /ALERT/);
        const { trustDomain = 'cluster.local' } = by;
        const line = await refusedConnection(NS, 'server', since, ({ downstream_peer_uri_san: claimed }) => {
          return claimed === `spiffe://${trustDomain}/ns/${NS}/sa/friend`;
        });
        assert.equal(line.reason, 'tls-handshake-refused');
        assert.equal(line.requested_server_name, serverName);
        assert.match(line.downstream_transport_failure_reason ?? '', failure);
      });
    }

    it('a denied caller of a server that speaks first gets not one byte of its banner, and both sidecars say why', async () => {
      const allowed = await eventually('friend reads the banner', async () => {
        const text = await lab.netcat(NS, 'friend', 'banner', 7000);
        return text.includes('BANNER') ? text : undefined;
      });
      assert.match(allowed, /BANNER/);
      const since = new Date().toISOString();
      const address = await lab.kubectl(['get', 'service', 'banner', '-n', NS, '-o', 'jsonpath={.spec.clusterIP}']);
      assert.equal(await lab.netcat(NS, 'stranger', 'banner', 7000), '');
      const [own, called] = [`${await lab.podIp(NS, 'stranger')}:`, `${address}:7000`];
      const closed = await refusedConnection(NS, 'stranger', since, (line) => line.downstream_local_address === called);
      assert.equal(closed.reason, 'not-allowed');
      assert.ok(closed.downstream_remote_address.startsWith(own), closed.downstream_remote_address);
      assert.equal(await aroundTheSidecar(`${NS}/stranger`, 'banner', 7000, ''), '');
      const line = await refusedConnection(NS, 'banner', since, ({ downstream_peer_uri_san: claimed }) => {
        return claimed === `spiffe://cluster.local/ns/${NS}/sa/stranger`;
      });
      assert.equal(line.reason, 'tls-handshake-refused');
      assert.match(line.downstream_transport_failure_reason ?? '', /SAN_match/);
      assert.match(await aroundTheSidecar(`${NS}/friend`, 'banner', 7000, ''), /BANNER/);
    });

    it('an application that calls the port of its own sidecar is closed, and the sidecar says that it was this', async () => {
      const since = new Date().toISOString();
      assert.equal(await lab.netcat(NS, 'stranger', '127.0.0.1', 15001), '');
      const line = await refusedConnection(NS, 'stranger', since, ({ reason }) => reason === 'sidecar-port');
      assert.equal(line.downstream_local_address, '127.0.0.1:15001');
    });
  });
});

/** Speaks to the server's pod directly, as no sidecar would: TLS with a certificate of our own making for `account`. */
async function aroundTheSidecar(account: string, service: string, port: number, text: string): Promise<string> {
  const [host, credentials] = await Promise.all([lab.podIp(NS, service), makeClientCertificate(account)]);
  return new Promise((resolve) => {
    let received = '';
    const socket = tlsConnect({
      host,
      port,
      servername: `${service}.${NS}.svc.cluster.local`,
      ALPNProtocols: ['osm'],
      rejectUnauthorized: false,
      ...credentials,
    });
    socket.on('secureConnect', () => text !== '' && socket.write(text));
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
      if (text === '') socket.end();
    });
    socket.on('error', () => resolve(received));
    socket.on('close', () => resolve(received));
    socket.setTimeout(3000, () => socket.destroy());
  });
}
