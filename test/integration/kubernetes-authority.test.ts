import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { CertificateError } from '#certificates/error.ts';
import { fingerprintOf, readCertificates } from '#certificates/pem.ts';
import { provide } from '#certificates/providers/create.ts';
import type { ProviderSpec } from '#certificates/providers/provider.ts';
import { loadAuthority, loadOrCreateAuthority } from '#certificates/secret-store.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { Namespaces, Secrets } from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';

const namespace = 'authority-test';
const now = Date.now();
const none = (): Promise<never> => Promise.reject(new Error('no token is needed'));

describe('an authority in a Secret', () => {
  let server: ApiServer;
  let client: Client;

  before(async function () {
    this.timeout(120_000);
    server = await startApiServer();
    client = createClient(server.clientOptions);
    await client.create(Namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  });
  after(async () => {
    client?.close();
    await server?.stop();
  });

  it('is one and the same for all who begin at once', async () => {
    const secret = { namespace, name: 'raced' };
    const results = await Promise.all(
      Array.from({ length: 6 }, () => loadOrCreateAuthority(client, secret, { now, labels: { app: 'osm' } })),
    );
    assert.equal(new Set(results.map(({ authority }) => authority.fingerprint)).size, 1);
    assert.equal(results.filter(({ created }) => created).length, 1);
    const stored = await client.get<KubeObject>(Secrets, 'raced', namespace);
    assert.deepEqual(stored?.metadata.labels, { app: 'osm' });
    assert.deepEqual(Object.keys(stored?.data ?? {}), ['ca.crt', 'private.key']);
    assert.equal((await loadAuthority(client, secret, now))?.fingerprint, results[0]?.authority.fingerprint);
  });

  it('is read with the root that stands by it, which stops nobody when it is broken', async () => {
    const [signing, standby] = [await createAuthority({ now }), await createAuthority({ now })];
    const base64 = (text: string): string => Buffer.from(text).toString('base64');
    const roots = (pem: string | undefined): string[] => readCertificates(pem ?? '').map(fingerprintOf);
    const spec: ProviderSpec = { kind: 'builtin', secret: { namespace, name: 'rotating' } };
    const context = { client, namespace, readServiceAccountToken: none, rsaBits: () => 2048, now: () => now };
    const write = (data: Record<string, string>): Promise<unknown> => {
      const texts = Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)]));
      const metadata = { namespace, name: 'rotating' };
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata, data: texts } as KubeObject;
      return client.apply(Secrets, secret, { fieldManager: 'test' });
    };
    const own = { 'ca.crt': signing.certificatePem, 'private.key': signing.privateKey.revealText() };
    const other = { 'standby.crt': standby.certificatePem, 'standby.key': standby.privateKey.revealText() };

    await write(own);
    const before = await provide(spec, context, undefined);
    assert.deepEqual(roots(await before.provider.publishedRoots()), [signing.fingerprint]);
    await write({ ...own, ...other });
    const both = await provide(spec, context, before);
    assert.equal(both.id, before.id, 'who signs is the same: nothing is issued anew');
    assert.deepEqual(roots(await both.provider.publishedRoots()), [signing.fingerprint, standby.fingerprint]);
    assert.deepEqual(roots(both.provider.signsUnder), [signing.fingerprint]);
    const swapped = { 'standby.crt': own['ca.crt'], 'standby.key': own['private.key'] };
    await write({ 'ca.crt': other['standby.crt'], 'private.key': other['standby.key'], ...swapped });
    const after = await provide(spec, context, both);
    assert.notEqual(after.id, both.id);
    assert.deepEqual(roots(await after.provider.publishedRoots()), [standby.fingerprint, signing.fingerprint]);
    const broken = '-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n';
    await write({ ...own, 'standby.crt': broken });
    const alone = await provide(spec, context, after);
    assert.deepEqual(roots(await alone.provider.publishedRoots()), [signing.fingerprint]);
  });

  it('is absent when there is none', async () => {
    assert.equal(await loadAuthority(client, { namespace, name: 'none' }, now), undefined);
  });

  it('is never overwritten, however broken: the user may still mend it', async () => {
    const broken: KubeObject = {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name: 'broken' },
      data: { 'ca.crt': Buffer.from('half').toString('base64') },
    };
    const before = await client.create(Secrets, broken);
    await assert.rejects(loadOrCreateAuthority(client, { namespace, name: 'broken' }, { now }), (error: unknown) => {
      assert.ok(error instanceof CertificateError && error.reason === 'ca-secret-incomplete');
      assert.match(error.message, /Secret authority-test\/broken must hold ca.crt and private.key/);
      return true;
    });
    const after = await client.get(Secrets, 'broken', namespace);
    assert.equal(after?.metadata.resourceVersion, before.metadata.resourceVersion);
  });
});
