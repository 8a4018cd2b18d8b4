/** What users are told of the state of workload certificates. */
import assert from 'node:assert/strict';
import type { Source } from '#certificates/choice.ts';
import { CertificateError } from '#certificates/error.ts';
import { certificateFacts, type CertificateState, withTroubles } from '#certificates/facts.ts';

const vault: Source = {
  root: { name: 'from-vault', uid: 'u', knownRoots: '' },
  trustDomain: 'cluster.local',
  provider: {
    kind: 'vault',
    address: 'https://vault',
    mount: 'pki',
    role: 'mesh',
    vaultNamespace: undefined,
    login: { kind: 'kubernetes', mount: 'kubernetes', role: 'osm' },
    ca: undefined,
  },
};
const builtin: Source = {
  root: undefined,
  trustDomain: 'cluster.local',
  provider: { kind: 'builtin', secret: { namespace: 'osm-system', name: 'osm-ca-bundle' } },
};
const end = Date.parse('2026-06-01T12:00:00Z');

function state(changes: Partial<CertificateState> = {}): CertificateState {
  const validating = [
    { source: vault, trouble: undefined },
    { source: builtin, trouble: undefined },
  ];
  return { signing: vault, validating, choiceProblem: undefined, failing: undefined, earliestExpiry: end, ...changes };
}

describe('certificateFacts', () => {
  it('names who signs and who is trusted, and no trouble where there is none', () => {
    const facts = certificateFacts(state());
    assert.deepEqual(facts.signing, { provider: 'vault', rootCertificate: 'from-vault', trustDomain: 'cluster.local' });
    assert.deepEqual(
      facts.validating.map(({ provider, rootCertificate }) => [provider, rootCertificate]),
      [
        ['vault', 'from-vault'],
        ['builtin', undefined],
      ],
    );
    assert.deepEqual([facts.troubles, facts.accountsFailing, facts.earliestExpiry], [[], 0, end]);
  });

  it('says in the provider’s own words why it issues nothing, and until when what is there lasts', () => {
    const error = new CertificateError('provider-unreachable', 'Vault is sealed');
    const { troubles, accountsFailing } = certificateFacts(state({ failing: { accounts: 3, error, expiresAt: end } }));
    assert.equal(accountsFailing, 3);
    assert.deepEqual(troubles, [
      {
        key: 'provider-unreachable',
        message:
          'Vault (MeshRootCertificate from-vault) issues no certificates: Vault is sealed. ' +
          'The first of those at hand ends at 2026-06-01T12:00:00.000Z; it stays in use, and the issue is tried again.',
        rootCertificate: 'from-vault',
      },
    ]);
    const none = certificateFacts(state({ failing: { accounts: 1, error: new Error('?'), expiresAt: undefined } }));
    assert.match(none.troubles[0]?.message ?? '', /There is none yet for some accounts, whose pods wait/);
    assert.equal(none.troubles[0]?.key, 'issue-failed');
  });

  it('adds what other replicas find, with their name, and what is known already not twice', () => {
    const own = certificateFacts(
      state({ validating: [{ source: builtin, trouble: { key: 'ca-secret-missing', message: 'no Secret' } }] }),
    );
    const far = { key: 'provider-unreachable', message: 'no answer', rootCertificate: 'from-vault' };
    const { troubles } = withTroubles(own, [
      { podName: 'b', troubles: [{ key: 'ca-secret-missing', message: 'no Secret there either' }, far] },
      { podName: 'c', troubles: [far] },
    ]);
    assert.deepEqual(
      troubles.map(({ message }) => message),
      ['no Secret', 'At replica b: no answer'],
    );
  });

  it('lists every trouble, the choice first', () => {
    const { troubles } = certificateFacts(
      state({
        choiceProblem: { key: 'too-many-root-certificates', message: 'three' },
        validating: [{ source: builtin, trouble: { key: 'ca-secret-missing', message: 'no Secret' } }],
      }),
    );
    assert.deepEqual(
      troubles.map(({ key, rootCertificate }) => [key, rootCertificate]),
      [
        ['too-many-root-certificates', undefined],
        ['ca-secret-missing', undefined],
      ],
    );
  });
});
