/** Finding the roots of a provider that tells them by a certificate alone, and is slow. */
import assert from 'node:assert/strict';
import type { Source } from '#certificates/choice.ts';
import { CertificateError } from '#certificates/error.ts';
import { createAuthority } from '#certificates/ca.ts';
import { ecdsa } from '#certificates/keys.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import type { Provider } from '#certificates/providers/provider.ts';
import { createCertificateSource } from '#controller/certificate-source.ts';
import { dnsNamesBelow, intermediateOf } from '#test/support/authorities.ts';
import { eventually } from '#test/support/eventually.ts';

const provider = { kind: 'builtin', secret: { namespace: 'osm-system', name: 'any' } } as const;
const source: Source = { root: { name: 'one', uid: '1', knownRoots: '' }, trustDomain: 'cluster.local', provider };
const waiting = new CertificateError('provider-timeout', 'nobody has looked at it');

/** Signs nothing, says what it waits for, and fails when it is closed. */
function slow(): Provider & { closed: boolean } {
  const { promise: closing, resolve } = Promise.withResolvers<void>();
  return {
    kind: 'cert-manager',
    closed: false,
    async issue(_account, _wanted, onWaiting) {
      onWaiting?.(waiting);
      await closing;
      throw new CertificateError('provider-unreachable', 'it is used no more');
    },
    issueNamed: () => Promise.reject(new Error('not asked for here')),
    publishedRoots: () => Promise.resolve(undefined),
    close() {
      this.closed = true;
      resolve();
    },
  };
}

async function signing(): Promise<Provider> {
  const builtin = createBuiltinProvider(await createAuthority({ now: Date.now(), commonName: 'r' }), Date.now);
  return { ...builtin, kind: 'cert-manager', publishedRoots: () => Promise.resolve(undefined) };
}

describe('controller/certificate-source', () => {
  it('says what the search for roots waits for, and searches at once when the provider is put right', async () => {
    const former = slow();
    let used: Provider = former;
    let changes = 0;
    const made = createCertificateSource(source, {
      provide: (_, known) =>
        Promise.resolve(
          known?.provider === used ? known : { id: used === former ? 'former' : 'right', provider: used },
        ),
      throwAway: { namespace: 'osm-system', name: 'throw-away' },
      wanted: (trustDomain) => ({ trustDomain, lifetimeMs: 3_600_000, keyType: ecdsa }),
      remember: () => undefined,
      changed: () => changes++,
      now: Date.now,
    });
    await made.refresh(source);
    await eventually('what it waits for', async () => made.trouble?.key === 'provider-timeout', { everyMs: 5 });
    assert.equal(made.trouble?.message, waiting.message);

    used = await signing();
    await made.refresh(source);
    assert.ok(former.closed);
    assert.equal(made.trouble, undefined, 'what the former one said is over');
    const before = changes;
    await eventually('another look', async () => changes > before, { everyMs: 5 });
    await made.refresh(source);
    await eventually('its roots', async () => made.trust().size === 1, { everyMs: 5 });
    assert.equal(made.trouble, undefined);
    made.close();
  });

  it('has no use for an authority whose chain forbids what it issues, and keeps the former one', async () => {
    const root = await createAuthority({ now: Date.now(), commonName: 'corp' });
    const [free, bound] = await Promise.all([
      intermediateOf(root, 'free', 'rsa'),
      intermediateOf(root, 'bound', 'ec', [dnsNamesBelow('.corp.example')]),
    ]);
    let used = free;
    const made = createCertificateSource(source, {
      provide: () => Promise.resolve({ id: used.fingerprint, provider: createBuiltinProvider(used, Date.now) }),
      throwAway: { namespace: 'osm-system', name: 'throw-away' },
      wanted: (trustDomain) => ({ trustDomain, lifetimeMs: 3_600_000, keyType: ecdsa }),
      remember: () => undefined,
      changed: () => undefined,
      now: Date.now,
    });
    await made.refresh(source);
    assert.deepEqual([made.trouble, made.made?.id], [undefined, free.fingerprint]);

    used = bound;
    await made.refresh(source);
    assert.equal(made.trouble?.key, 'provider-certificate-unusable');
    assert.match(made.trouble?.message ?? '', /permitted subtree violation/);
    assert.equal(made.made?.id, free.fingerprint, 'who signs goes on');
    made.close();
  });
});
