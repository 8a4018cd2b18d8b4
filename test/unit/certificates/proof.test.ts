import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { ecdsa } from '#certificates/keys.ts';
import { createProof } from '#certificates/proof.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import { dnsNamesBelow, intermediateOf } from '#test/support/authorities.ts';

describe('whether peers take a certificate', () => {
  it('is tried again under another chain of the same root', async () => {
    const root = await createAuthority({ now: Date.now(), commonName: 'corp' });
    const [free, bound] = await Promise.all([
      intermediateOf(root, 'free'),
      intermediateOf(root, 'bound', 'ec', [dnsNamesBelow('.corp.example')]),
    ]);
    const issuedBy = (authority: typeof free) =>
      createBuiltinProvider(authority, Date.now).issue(
        { namespace: 'shop', name: 'web' },
        { trustDomain: 'cluster.local', lifetimeMs: 3_600_000, keyType: ecdsa },
      );
    const prove = createProof();
    await prove(await issuedBy(free));
    await prove(await issuedBy(free));
    await assert.rejects(prove(await issuedBy(bound)), { reason: 'provider-certificate-unusable' });
    await assert.rejects(prove(await issuedBy(bound)), /permitted subtree violation/, 'a refusal is not remembered');
  });
});
