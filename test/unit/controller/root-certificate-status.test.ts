/** What is said of a MeshRootCertificate at each step of a walk, from what the replicas report. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import { chooseIssuers, type RootCertificate } from '#certificates/choice.ts';
import { type CertificateFacts, certificateFacts, type Trouble } from '#certificates/facts.ts';
import { mergeTrust, noTrust, type Trust } from '#certificates/trust.ts';
import { reportOf } from '#controller/own-report.ts';
import { elsewhereStatus, rootCertificateStatus, type WalkFindings } from '#controller/root-certificate-status.ts';
import type { Wait } from '#controller/spread.ts';

type Name = 'former' | 'next';
const settings = { trustDomain: 'cluster.local', namespace: 'osm-system' };
const soon = Date.parse('2026-06-01T12:00:00Z');

describe('controller/root-certificate-status', () => {
  const pems = new Map<Name, string>();

  before(async () => {
    for (const name of ['former', 'next'] as const) {
      pems.set(name, (await createAuthority({ now: Date.now(), commonName: name })).rootsPem);
    }
  });

  function root(name: Name, role: RootCertificate['role'], more: Partial<RootCertificate> = {}): RootCertificate {
    const provider = { kind: 'builtin', secret: { namespace: 'osm-system', name } } as const;
    const knownRoots = pems.get(name) ?? '';
    return {
      ...{ name, uid: name, createdAt: name, role, trustDomain: 'cluster.local', provider, knownRoots },
      ...more,
    };
  }
  const trust = (...names: Name[]): Trust =>
    mergeTrust(
      names.map((name) => new Map([['cluster.local', pems.get(name) ?? '']])),
      0,
    );

  /** A replica as it reports: who signs there, and what its sidecars have and show. */
  function replica(podName: string, signer: Name | undefined, has: Name[], shows: Name[]) {
    const sidecars = { connected: 3, behind: [] };
    const [given, needed] = [trust(...has), trust(...shows)];
    const signing = signer && 'root';
    return { podName, report: reportOf({ given, acknowledged: given, needed, sidecars, signer, signing }) };
  }

  interface Scene {
    readonly roots: readonly RootCertificate[];
    readonly replicas: WalkFindings['replicas'];
    readonly given?: Name[];
    readonly wait?: Wait;
    readonly narrowsAt?: number;
    readonly holders?: Wait['holders'];
    readonly trouble?: Trouble & { readonly about: Name };
  }

  function say({ roots, replicas, given = ['former', 'next'], wait, holders = [], narrowsAt, trouble }: Scene) {
    const choice = chooseIssuers(roots, settings);
    const used = roots.filter(({ role }) => role !== 'inactive');
    const signing = roots.find(({ uid }) => uid === replicas[0]?.report.signer);
    const facts: CertificateFacts = certificateFacts({
      signing: signing && { root: signing, trustDomain: 'cluster.local', provider: signing.provider },
      validating: used.map((each) => ({
        source: { root: each, trustDomain: 'cluster.local', provider: each.provider },
        trouble: trouble?.about === each.name ? trouble : undefined,
      })),
      ...{
        choiceProblem: choice.kind === 'problem' ? choice : undefined,
        failing: undefined,
        earliestExpiry: undefined,
      },
    });
    const walk: WalkFindings['walk'] = {
      given: trust(...given),
      wanted: trust(...used.map(({ name }) => name as Name)),
      report: replicas[0]?.report ?? assert.fail(),
      waitFor: (wanted) => (wanted.get('cluster.local') === pems.get('next') ? wait : undefined),
      holders: () => holders,
      narrowsAt,
      rootsOf: () => undefined,
    };
    return (name: string): string => {
      const found = roots.find((each) => each.name === name) ?? assert.fail(name);
      const { state, sidecar, transitionAfter, conditions } = rootCertificateStatus(found, {
        ...{ choice, facts, walk, replicas },
      });
      const shown = conditions.map(({ type, status, reason }) => `${type}=${status}/${reason}`);
      const until = transitionAfter === undefined ? '' : ` until ${new Date(transitionAfter).toISOString()}`;
      const message = conditions.find(
        ({ type }) => type === (state === 'replacing' ? 'Reconciling' : 'Ready'),
      )?.message;
      return `${state} ${sidecar}${until} ${shown.slice(0, 2).join(' ')}: ${message}`;
    };
  }

  const idle = 'Reconciling=False/NoStepUnderWay';
  const both: Name[] = ['former', 'next'];

  it('old active, new passive and not acknowledged: which step, whom it waits for, how long at most, and who signs', () => {
    const holders = [
      { podName: 'a', behind: 4, named: ['shop/web-1', 'shop/web-2', 'shop/web-3'] },
      { podName: 'b', behind: 0, named: [] },
    ];
    const of = say({
      roots: [root('former', 'active'), root('next', 'passive')],
      replicas: [replica('a', 'former', both, ['former']), replica('b', 'former', ['former'], ['former'])],
      wait: { holders, until: soon },
    });
    assert.equal(of('former'), `signing issuing Ready=True/Signing ${idle}: It signs for trust domain cluster.local.`);
    assert.equal(
      of('next'),
      'spreading validating until 2026-06-01T12:00:00.000Z Ready=False/SpreadingTrust Reconciling=True/SpreadingTrust: ' +
        'Sidecars are given its root. MeshRootCertificate former signs meanwhile. It waits for sidecars that have not acknowledged it: ' +
        '4 of replica a (shop/web-1, shop/web-2, shop/web-3 and others); all of replica b, which has yet to take it up.',
    );
  });

  it('old active, new passive and acknowledged', () => {
    const replicas = [replica('a', 'former', both, ['former']), replica('b', 'former', both, ['former'])];
    const of = say({ roots: [root('former', 'active'), root('next', 'passive')], replicas });
    assert.equal(
      of('next'),
      `trusted validating Ready=True/Trusted ${idle}: It is trusted; MeshRootCertificate former signs.`,
    );
    const two = say({ roots: [root('former', 'active'), root('next', 'active')], replicas });
    assert.match(
      two('next'),
      /^trusted .*of two that are active the older signs, MeshRootCertificate former: make that/,
    );
  });

  it('new active in one step: the old one signs until all have the new root, and says until whom it waits', () => {
    const of = say({
      roots: [root('former', 'passive'), root('next', 'active')],
      replicas: [replica('a', 'former', both, ['former'])],
      wait: { holders: [{ podName: 'a', behind: 1, named: ['shop/web-1'] }], until: soon },
    });
    assert.match(of('next'), /^spreading validating until .* Ready=False\/SpreadingTrust Reconciling=True/);
    assert.match(
      of('former'),
      /^handing-over issuing until .* Ready=False\/HandingOver Reconciling=True\/HandingOver: It signs until sidecars trust MeshRootCertificate next\. It waits for .* 1 of replica a \(shop\/web-1\)\.$/,
    );
  });

  it('new active, one replica ahead; then all, while certificates are replaced; then done', () => {
    const roots = [root('former', 'passive'), root('next', 'active')];
    const ahead = say({
      roots,
      replicas: [replica('a', 'next', both, both), replica('b', 'former', both, ['former'])],
    });
    assert.match(
      ahead('next'),
      /^handing-over issuing Ready=False\/HandingOver .*as these replicas have seen that too: b\.$/,
    );
    assert.match(ahead('former'), /^handing-over issuing /);
    const replacing = say({
      roots,
      replicas: [replica('a', 'next', both, ['next']), replica('b', 'next', both, both)],
    });
    assert.equal(
      replacing('next'),
      'replacing issuing Ready=True/Signing Reconciling=True/ReplacingCertificates: ' +
        'Certificates that lead to another root are replaced, at these replicas: b.',
    );
    assert.match(replacing('former'), /^trusted validating Ready=True\/Trusted /);
    const done = say({ roots, replicas: [replica('a', 'next', both, ['next']), replica('b', 'next', both, ['next'])] });
    assert.match(done('next'), /^signing issuing Ready=True\/Signing Reconciling=False/);
  });

  it('old inactive: trusted while certificates need it, then for a while, then no more', () => {
    const roots = [root('former', 'inactive'), root('next', 'active')];
    const needed = say({ roots, replicas: [replica('a', 'next', both, ['next']), replica('b', 'next', both, both)] });
    assert.match(
      needed('former'),
      /^retiring validating Ready=False\/Retiring Reconciling=True.* at these replicas: b\.$/,
    );
    const replicas = [replica('a', 'next', both, ['next'])];
    const lingering = say({ roots, replicas, narrowsAt: soon });
    assert.match(
      lingering('former'),
      /^retiring validating until 2026-06-01T12:00:00.000Z .*No certificate in use leads to its root/,
    );
    const gone = say({ roots, replicas, given: ['next'] });
    assert.equal(
      gone('former'),
      `unused unused Ready=True/Unused ${idle}: It is inactive: neither signs nor is trusted.`,
    );
  });

  it('names sidecars that were waited for in vain', () => {
    const holders = [{ podName: 'b', behind: 1, named: ['shop/web-1'] }];
    const replicas = [replica('a', 'next', both, ['next'])];
    const of = say({ roots: [root('next', 'active')], replicas, holders });
    assert.match(
      of('next'),
      /^signing issuing Ready=True.* refuse certificates under it until they do: 1 of replica b \(shop\/web-1\)\.$/,
    );
  });

  it('a set that cannot be followed: what to do, and who signs until then', () => {
    const replicas = [replica('a', 'former', ['former'], ['former'])];
    const given: Name[] = ['former'];
    const third = root('next', 'passive', { name: 'third', uid: 'third' });
    const many = say({ roots: [root('former', 'active'), root('next', 'passive'), third], replicas, given });
    assert.match(
      many('next'),
      /^error unused Ready=False\/TooManyRootCertificates .*: MeshRootCertificates former, next, third are active or passive, .* Until then all stays as it was\. MeshRootCertificate former signs meanwhile\.$/,
    );
    assert.match(many('former'), /^error issuing /);
    const unusable = { key: 'secret-in-other-namespace', message: 'copy it' };
    const one = say({ roots: [root('former', 'active'), root('next', 'passive', { unusable })], replicas, given });
    assert.match(one('next'), /^error unused Ready=False\/SecretInOtherNamespace .*copy it/);
    assert.match(
      one('former'),
      /^error issuing Ready=False\/NotFollowed .*while MeshRootCertificate next is in use as it is/,
    );
  });

  it('a provider in trouble: its key, its words, and who signs meanwhile', () => {
    const of = say({
      roots: [root('former', 'active'), root('next', 'passive', { knownRoots: '' })],
      replicas: [replica('a', 'former', ['former'], ['former'])],
      given: ['former'],
      trouble: { about: 'next', key: 'ca-secret-missing', message: 'Secret next is not there' },
    });
    assert.match(
      of('next'),
      /^error unused Ready=False\/CaSecretMissing Reconciling=False.*: Secret next is not there\. MeshRootCertificate former signs meanwhile\.$/,
    );
    assert.match(of('former'), /^signing issuing Ready=True/);
  });

  it('does not forget who signed last before anybody signs', () => {
    const nobody = {
      podName: 'a',
      report: reportOf({
        ...{ given: noTrust, acknowledged: noTrust, needed: noTrust },
        signer: undefined,
        signing: undefined,
        sidecars: { connected: 0, behind: [] },
      }),
    };
    const of = say({ roots: [root('former', 'active', { lastUse: 'issuing' })], replicas: [nobody], given: [] });
    assert.match(of('former'), /^spreading issuing Ready=False.*Nobody signs yet\.$/);
  });

  it('one in another namespace counts for nothing', () => {
    const { sidecar, conditions } = elsewhereStatus('osm-system');
    assert.equal(sidecar, 'unused');
    assert.deepEqual(
      conditions.map(({ type, status, reason }) => [type, status, reason]),
      [
        ['Ready', 'False', 'NotThisNamespace'],
        ['Reconciling', 'False', 'NoStepUnderWay'],
        ['Stalled', 'True', 'NotThisNamespace'],
      ],
    );
  });
});
