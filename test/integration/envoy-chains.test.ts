/**
 * Certificates of each kind of authority that a user may bring, between two real Envoys with the secrets that the controller
 * makes: the chain must lead to the root in `roots`, at both ends.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { type CertificateAuthority, createAuthority } from '#certificates/ca.ts';
import { ecdsa, type KeyType } from '#certificates/keys.ts';
import type { IssuedCertificate } from '#certificates/leaf.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import type { Provider } from '#certificates/providers/provider.ts';
import { readAuthority } from '#certificates/secret-store.ts';
import type { Trust } from '#certificates/trust.ts';
import { mergeTrust } from '#certificates/trust.ts';
import { intermediateOf } from '#test/support/authorities.ts';
import { type Bootstrap, freePort, loopback, type RunningEnvoy, startEnvoy } from '#test/support/envoy.ts';
import { resourceJson } from '#test/support/static-config.ts';
import { translateSecrets } from '#xds/translate/translate.ts';

const trustDomain = 'cluster.local';
const typed = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;

describe('chains of users’ own authorities, between two real Envoys', function () {
  this.timeout(60_000);
  const envoys: RunningEnvoy[] = [];
  let root: CertificateAuthority;
  let application: Server;

  before(async () => {
    root = await createAuthority({ now: Date.now(), commonName: 'company root' });
    application = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.end('hello');
    });
    application.listen(0, '127.0.0.1');
    await once(application, 'listening');
  });
  afterEach(() => Promise.all(envoys.splice(0).map((envoy) => envoy.stop())));
  after(() => application?.close());

  /** As the controller reads it from a Secret. */
  function stored(certificatePem: string, { privateKey }: CertificateAuthority): Promise<CertificateAuthority> {
    const data = {
      'ca.crt': Buffer.from(certificatePem).toString('base64'),
      'private.key': Buffer.from(privateKey.reveal()).toString('base64'),
    };
    const metadata = { name: 'own', namespace: 'osm-system' };
    return readAuthority({ apiVersion: 'v1', kind: 'Secret', metadata, data }, Date.now());
  }

  async function secretsOf(provider: Provider, name: string, trust: Trust | undefined, keyType: KeyType) {
    const wanted = { trustDomain, lifetimeMs: 3_600_000, keyType };
    const { certificate, rootPem } = await provider.issue({ namespace: 'shop', name }, wanted);
    return translateSecrets({
      workload: { certificateChain: certificate.chainPem, privateKey: () => certificate.privateKey.revealText() },
      roots: Object.fromEntries(trust ?? new Map([[trustDomain, rootPem]])),
    }).map(resourceJson);
  }

  const tls = (direction: 'DownstreamTlsContext' | 'UpstreamTlsContext', more: object) => ({
    name: 'tls',
    typed_config: {
      '@type': typed(`transport_sockets.tls.v3.${direction}`),
      common_tls_context: {
        tls_certificate_sds_secret_configs: [{ name: 'workload' }],
        validation_context_sds_secret_config: { name: 'roots' },
      },
      ...more,
    },
  });

  async function sidecar(secrets: readonly object[], listenTls: boolean, to: number): Promise<number> {
    const port = await freePort();
    const proxy = { '@type': typed('filters.network.tcp_proxy.v3.TcpProxy'), stat_prefix: 'tcp', cluster: 'to' };
    const bootstrap: Bootstrap = {
      static_resources: {
        secrets,
        listeners: [
          {
            name: 'in',
            address: loopback(port),
            filter_chains: [
              {
                filters: [{ name: 'tcp', typed_config: proxy }],
                ...(listenTls
                  ? { transport_socket: tls('DownstreamTlsContext', { require_client_certificate: true }) }
                  : {}),
              },
            ],
          },
        ],
        clusters: [
          {
            name: 'to',
            type: 'STATIC',
            load_assignment: {
              cluster_name: 'to',
              endpoints: [{ lb_endpoints: [{ endpoint: { address: loopback(to) } }] }],
            },
            ...(listenTls ? {} : { transport_socket: tls('UpstreamTlsContext', {}) }),
          },
        ],
      },
    };
    envoys.push(await startEnvoy(bootstrap));
    return port;
  }

  /** What a client hears through both sidecars; empty when either end refused the other. */
  async function heard(
    server: Provider,
    client: Provider,
    { trust, keyType = ecdsa }: { trust?: Trust; keyType?: KeyType } = {},
  ): Promise<string> {
    const [serverSecrets, clientSecrets] = await Promise.all([
      secretsOf(server, 'store', trust, keyType),
      secretsOf(client, 'buyer', trust, keyType),
    ]);
    const inner = await sidecar(serverSecrets, true, (application.address() as AddressInfo).port);
    const outer = await sidecar(clientSecrets, false, inner);
    const socket = connect(outer, '127.0.0.1');
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', () => undefined);
    await once(socket, 'close');
    return text;
  }

  const provider = (authority: CertificateAuthority): Provider => createBuiltinProvider(authority, Date.now);

  it('an ingress gateway’s certificate passes for no workload, whatever DNS names it carries', async () => {
    const own = provider(root);
    const inner = await sidecar(
      await secretsOf(own, 'store', undefined, ecdsa),
      true,
      (application.address() as AddressInfo).port,
    );
    const heardBy = async ({ chainPem, privateKey }: IssuedCertificate): Promise<string> => {
      const socket = connectTls({
        ...{ port: inner, host: '127.0.0.1', servername: 'store.shop.cluster.local' },
        ...{ cert: chainPem, key: privateKey.revealText(), ca: root.rootsPem },
      });
      let text = '';
      socket.on('data', (chunk) => {
        text += String(chunk);
      });
      socket.on('error', () => undefined); // Envoy's alert
      await new Promise((resolve) => void socket.once('close', resolve));
      return text;
    };
    const wanted = { trustDomain, lifetimeMs: 3_600_000, keyType: ecdsa };
    const workload = await own.issue({ namespace: 'shop', name: 'buyer' }, wanted);
    assert.equal(await heardBy(workload.certificate), 'hello');
    const gateway = await own.issueNamed(['buyer.shop.cluster.local'], wanted);
    assert.equal(await heardBy(gateway.certificate), '');
  });

  for (const type of ['ec', 'rsa'] as const) {
    it(`${type.toUpperCase()} intermediate with its chain, two deep`, async () => {
      const middle = await intermediateOf(root, 'middle', type);
      const lower = await intermediateOf(middle, 'lower', type);
      const own = await stored(lower.certificatePem, lower);
      assert.equal(own.rootsPem, root.rootsPem);
      assert.equal(await heard(provider(own), provider(own)), 'hello');
    });
  }

  it('an intermediate without its root is refused when it is read, since Envoy would refuse every peer', async () => {
    const middle = await intermediateOf(root, 'middle');
    const [one = ''] = middle.certificatePem.split(/(?<=END CERTIFICATE-----\n)/);
    await assert.rejects(stored(one, middle), { reason: 'ca-root-missing', message: /CN=middle, which is no root/ });
    const trust = new Map([[trustDomain, one]]);
    assert.equal(await heard(provider(middle), provider(middle), { trust }), '', 'the day it is taken, take it');
  });

  it('RSA keys of workloads', async () => {
    const keyType = { kind: 'rsa', bits: 3072 } as const;
    assert.equal(await heard(provider(root), provider(root), { keyType }), 'hello');
  });

  it('two authorities at once, while both are trusted', async () => {
    const other = await createAuthority({ now: Date.now(), commonName: 'company root' }); // the same name, another key
    const roots = (authority: CertificateAuthority): Trust => new Map([[trustDomain, authority.rootsPem]]);
    const trust = mergeTrust([roots(root), roots(other)], Date.now());
    assert.equal(await heard(provider(root), provider(other), { trust }), 'hello');
    assert.equal(await heard(provider(other), provider(root), { trust }), 'hello');
    assert.equal(await heard(provider(other), provider(root), { trust: roots(other) }), '', 'one is trusted no more');
  });
});
