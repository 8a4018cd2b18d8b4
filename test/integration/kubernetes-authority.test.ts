import assert from 'node:assert/strict';
import { CertificateError } from '#certificates/error.ts';
import { loadAuthority, loadOrCreateAuthority } from '#certificates/secret-store.ts';
import { type Client, createClient } from '#kubernetes/client.ts';
import { Namespaces, Secrets } from '#kubernetes/kinds.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type ApiServer, startApiServer } from '#test/support/apiserver.ts';

const namespace = 'authority-test';
const now = Date.now();

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
