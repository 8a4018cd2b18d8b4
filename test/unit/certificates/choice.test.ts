/** The table of the reference's 2.17, line by line, and what is beside it. */
import assert from 'node:assert/strict';
import { chooseIssuers, lastChoice, type RootCertificate, type Source } from '#certificates/choice.ts';

const settings = { trustDomain: 'cluster.local', namespace: 'osm-system' };

function root(name: string, role: RootCertificate['role'], more: Partial<RootCertificate> = {}): RootCertificate {
  return {
    name,
    role,
    uid: `uid-${name}`,
    createdAt: name === 'old' ? '2026-01-01T00:00:00Z' : '2026-02-01T00:00:00Z',
    trustDomain: `${name}.example`,
    provider: { kind: 'cert-manager', namespace: 'osm-system', issuer: { name, kind: 'Issuer', group: 'g' } },
    knownRoots: `roots of ${name}`,
    ...more,
  };
}

/** `signing / validating`, each by the name of its MeshRootCertificate. */
function chosen(...roots: RootCertificate[]): string {
  // Whatever order a store lists them in.
  const [one, other] = [roots, roots.toReversed()].map((each) => chooseIssuers(each, settings));
  assert.deepEqual(one, other);
  if (one?.kind !== 'chosen') return one?.key ?? '';
  const name = (source: (typeof one)['signing']): string => source.root?.name ?? 'built-in';
  assert.equal(one.validating[0], one.signing, 'the signing one is the first of those that are trusted');
  return `${name(one.signing)} / ${one.validating.map(name).join(' + ')}`;
}

describe('the choice of who signs and who is trusted', () => {
  const table: readonly [string, RootCertificate['role'] | undefined, RootCertificate['role'] | undefined, string][] = [
    ['0: the old one alone', 'active', undefined, 'old / old'],
    ['0: the new one prepared', 'active', 'inactive', 'old / old'],
    ['1: the new one is trusted', 'active', 'passive', 'old / old + new'],
    ['2: both active: the older signs', 'active', 'active', 'old / old + new'],
    ['3: the new one signs', 'passive', 'active', 'new / new + old'],
    ['4: the old one is retired', 'inactive', 'active', 'new / new'],
    ['5: the old one is gone', undefined, 'active', 'new / new'],
  ];
  for (const [step, old, next, expected] of table) {
    it(`step ${step}`, () => {
      assert.equal(chosen(...(old ? [root('old', old)] : []), ...(next ? [root('new', next)] : [])), expected);
    });
  }

  it('is the built-in one of the MeshConfig where nobody chose', () => {
    const expected = {
      root: undefined,
      trustDomain: 'cluster.local',
      provider: { kind: 'builtin', secret: { namespace: 'osm-system', name: 'osm-ca-bundle' } },
    };
    const none = { kind: 'chosen', signing: expected, validating: [expected] };
    assert.deepEqual(chooseIssuers([], settings), none);
    assert.deepEqual(chooseIssuers([root('old', 'inactive')], settings), none);
  });

  it('lets the built-in one sign beside those that are only trusted: the first step away from it', () => {
    assert.equal(chosen(root('new', 'passive')), 'built-in / built-in + new');
    assert.equal(chosen(root('old', 'passive'), root('new', 'passive')), 'built-in / built-in + old + new');
  });

  it('takes trust domain, provider and known roots from the MeshRootCertificate', () => {
    const choice = chooseIssuers([root('new', 'active')], settings);
    assert.ok(choice.kind === 'chosen');
    const { uid, name, knownRoots, trustDomain, provider } = root('new', 'active');
    assert.deepEqual(choice.signing, { root: { name, uid, knownRoots }, trustDomain, provider });
  });

  it('decides by name between two of one second', () => {
    const createdAt = '2026-01-01T00:00:00Z';
    assert.equal(chosen(root('b', 'active', { createdAt }), root('a', 'active', { createdAt })), 'a / a + b');
  });

  it('is a problem with more than two in use, which names them', () => {
    const choice = chooseIssuers([root('old', 'active'), root('new', 'passive'), root('newer', 'passive')], settings);
    assert.ok(choice.kind === 'problem');
    assert.equal(choice.key, 'too-many-root-certificates');
    assert.deepEqual(choice.about, ['old', 'new', 'newer']);
    assert.match(choice.message, /old, new, newer/);
    assert.equal(chosen(root('old', 'active'), root('new', 'passive'), root('newer', 'inactive')), 'old / old + new');
  });

  it('knows who signed last from replicas, else from statuses, else the built-in one where statuses name nobody', () => {
    const roots = [
      root('old', 'inactive', { lastUse: 'issuing' }),
      root('new', 'active', { lastUse: 'validating' }),
      root('newer', 'passive', { lastUse: 'unused' }),
    ];
    const names = (of: readonly Source[]): string[] => of.map((source) => source.root?.name ?? 'built-in');
    const last = lastChoice(roots, [], settings);
    assert.deepEqual([names(last.signing), names(last.validating), last.likely], [['old'], ['new'], undefined]);
    const { uid } = root('new', 'active');
    assert.deepEqual(names(lastChoice(roots, [uid, ''], settings).signing), ['new', 'built-in']);
    const [, ...others] = roots;
    assert.equal(names(lastChoice(others, [], settings).signing).length, 0);
    assert.equal(lastChoice(others, [], settings).likely?.root, undefined);
    assert.notEqual(lastChoice(others, [], settings).likely, undefined);
    assert.equal(lastChoice([root('new', 'active')], [], settings).likely, undefined, 'no status was written yet');
  });

  it('is a problem with one in use that cannot be used, and none with one that is inactive', () => {
    const unusable = { key: 'secret-in-other-namespace', message: 'copy it' };
    assert.equal(chosen(root('old', 'active'), root('new', 'passive', { unusable })), 'secret-in-other-namespace');
    assert.equal(chosen(root('old', 'active'), root('new', 'inactive', { unusable })), 'old / old');
  });
});
