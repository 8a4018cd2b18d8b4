/** The walk from one provider to another, with real authorities: what sidecars are given at each step, and when. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import type { Choice, Source } from '#certificates/choice.ts';
import { CertificateError } from '#certificates/error.ts';
import { certificateFacts } from '#certificates/facts.ts';
import type { WorkloadCertificate } from '#certificates/leaf.ts';
import { createBuiltinProvider } from '#certificates/providers/builtin.ts';
import type { Provider, ProviderSpec } from '#certificates/providers/provider.ts';
import { fingerprintOf, readCertificates } from '#certificates/pem.ts';
import type { ReplicaReport } from '#certificates/replica-report.ts';
import type { Trust } from '#certificates/trust.ts';
import type { Replica } from '#controller/spread.ts';
import { createWorkloadCa, type WorkloadCa, type WorkloadCaTiming } from '#controller/workload-ca.ts';
import { eventually } from '#test/support/eventually.ts';
import { SECRET } from '#xds/cache/types.ts';
import type { ResourceMap } from '#xds/cache/snapshot.ts';

const hour = 3_600_000;
const account = 'shop/web';

/** A provider outside: signs with an authority of its own, tells its roots only by certificates, and can be down. */
interface Outside {
  readonly provider: Provider;
  rootPem: string;
  down: boolean;
  issues: number;
}

async function outside(name: string): Promise<Outside> {
  const builtin = createBuiltinProvider(await createAuthority({ now: Date.now(), commonName: name }), Date.now);
  const state: Outside = {
    rootPem: (await builtin.publishedRoots()) ?? '',
    down: false,
    issues: 0,
    provider: {
      kind: 'vault',
      async issue(...of) {
        state.issues++;
        if (state.down) throw new CertificateError('provider-unreachable', `${name} is down`);
        return builtin.issue(...of);
      },
      issueNamed: (...of) => builtin.issueNamed(...of),
      publishedRoots: () => Promise.resolve(undefined),
      close: () => undefined,
    },
  };
  return state;
}

function source(name: string, trustDomain = 'cluster.local', knownRoots = ''): Source {
  const secret = { namespace: 'osm-system', name };
  return { root: { name, uid: `uid-${name}`, knownRoots }, trustDomain, provider: { kind: 'builtin', secret } };
}

describe('controller/workload-ca', () => {
  let made: Map<string, Provider>;
  let one: Outside;
  let two: Outside;
  let choice: Choice;
  let settings: { certificateLifetimeMs: number; keyType: { kind: 'ecdsa' } };
  let acknowledged: boolean;
  let issued: WorkloadCertificate[];
  let trusts: Trust[];
  let given: ResourceMap[];
  let remembered: string[];
  let others: Replica[];
  let last: Source[];
  let report: ReplicaReport | undefined;
  let neededRoots: Trust;
  let errors: unknown[];
  let looks: number;
  let ca: WorkloadCa;

  const chosen = (signing: Source, ...others: Source[]): Choice => ({
    kind: 'chosen',
    signing,
    validating: [signing, ...others],
  });
  const nameOf = (spec: ProviderSpec): string => (spec.kind === 'builtin' ? spec.secret.name : '');

  beforeEach(async () => {
    [one, two] = [await outside('one'), await outside('two')];
    made = new Map([
      ['one', one.provider],
      ['two', two.provider],
    ]);
    choice = chosen(source('one'));
    settings = { certificateLifetimeMs: 24 * hour, keyType: { kind: 'ecdsa' } };
    acknowledged = true;
    [issued, trusts, given, remembered, errors, looks] = [[], [], [], [], [], 0];
    [others, last, report, neededRoots] = [[], [], undefined, new Map()];
  });
  afterEach(() => ca.stop());

  function start(timing: Partial<WorkloadCaTiming> = {}): void {
    ca = createWorkloadCa({
      choice: () => {
        looks++;
        return choice;
      },
      settings: () => settings,
      provide(spec, known) {
        const provider = made.get(nameOf(spec));
        if (provider === undefined) throw new CertificateError('ca-secret-missing', `no ${nameOf(spec)}`);
        return Promise.resolve(
          known?.provider === provider ? known : { id: `${nameOf(spec)} ${provider.signsUnder ?? ''}`, provider },
        );
      },
      throwAway: { namespace: 'osm-system', name: 'throw-away' },
      remember: ({ name }) => remembered.push(name),
      last: () => ({ signing: last, validating: [], likely: undefined }),
      podName: 'here',
      sidecars: () => ({ connected: 1, behind: acknowledged ? [] : ['shop/web-1'] }),
      others: () => others,
      onReport: (said, roots) => ([report, neededRoots] = [said, roots]),
      onEvent: (event) => {
        if (event.name === 'issued') issued.push(event.certificate);
      },
      onSigning: () => undefined,
      onTrust: (trust) => trusts.push(trust),
      onError: (error) => errors.push(error),
      now: Date.now,
      elapsed: () => performance.now(),
      timing: {
        ...{ missingMs: 5, foundMs: 5, spreadMs: 30, longestSpreadMs: 60_000, reconnectMs: 30, lingerMs: 30 },
        ...timing,
      },
    });
    ca.start();
    ca.subscribe(account, (secrets) => given.push(secrets));
  }

  const until = (what: string, holds: () => boolean): Promise<unknown> =>
    eventually(what, async () => holds(), {
      deadlineMs: 10_000,
      everyMs: 5,
      state: async () =>
        `${issued.length} issued, trust ${trustNames().join(' ')}, ${JSON.stringify(ca.state())}, errors: ${errors.join(', ')}`,
    });
  const lookedAgain = (): Promise<unknown> => {
    const from = looks;
    return until('two more looks', () => looks >= from + 2);
  };
  const signerOf = (certificate: WorkloadCertificate | undefined): string =>
    certificate === undefined
      ? ''
      : (/CN=(.*)/.exec(readCertificates(certificate.chainPem)[0]?.issuer ?? '')?.[1] ?? '');
  const trustNames = (trust = trusts.at(-1)): string[] =>
    [...(trust ?? [])]
      .flatMap(([domain, pem]) =>
        readCertificates(pem).map(({ subject }) => `${domain}:${/CN=(.*)/.exec(subject)?.[1] ?? ''}`),
      )
      .toSorted();
  const versions = (map: ResourceMap | undefined): (string | undefined)[] =>
    ['workload', 'roots'].map((name) => map?.get(name)?.hash);

  it('issues once, and not again while nothing changes', async () => {
    start();
    await until('a certificate', () => issued.length === 1);
    await lookedAgain();
    assert.equal(issued.length, 1);
    assert.deepEqual(remembered, ['one'], 'the root is kept where other replicas see it');
    assert.deepEqual(trustNames(), ['cluster.local:one']);
  });

  for (const [change, lifetimeMs] of [
    ['a shorter lifetime', hour],
    ['a longer lifetime', 48 * hour],
  ] as const) {
    it(`issues anew at once for ${change}, and then once`, async () => {
      start({ spreadMs: 60_000, lingerMs: 60_000 });
      await until('a certificate', () => issued.length === 1);
      settings = { ...settings, certificateLifetimeMs: lifetimeMs };
      await until('another certificate', () => issued.length === 2);
      await lookedAgain();
      assert.equal(issued.length, 2);
      const { notAfter } = issued.at(-1) ?? assert.fail();
      assert.ok(Math.abs(notAfter - Date.now() - lifetimeMs) < 60_000, new Date(notAfter).toISOString());
    });
  }

  it('trusts both while one signs and the other is passive: one secret changes, and no certificate', async () => {
    start();
    await until('the secrets', () => given.at(-1)?.has('workload') === true);
    const before = versions(given.at(-1));
    choice = chosen(source('one'), source('two'));
    await until('both are trusted', () => trustNames().length === 2);
    await lookedAgain();
    assert.deepEqual(trustNames(), ['cluster.local:one', 'cluster.local:two']);
    assert.equal(issued.length, 1);
    const after = versions(given.at(-1));
    assert.equal(after[0], before[0], 'the certificate stays');
    assert.notEqual(after[1], before[1], 'the roots are others');
    assert.deepEqual(
      [...(given.at(-1)?.values() ?? [])].map(({ type }) => type),
      [SECRET, SECRET],
    );
    choice = chosen(source('one'));
    await until('one is trusted no more', () => trustNames().length === 1);
    assert.equal(issued.length, 1);
  });

  it('lets a new provider sign when its roots are acknowledged, and drops the old ones when all certificates are new', async () => {
    acknowledged = false;
    start({ lingerMs: 0 });
    await until('a certificate', () => issued.length === 1);
    choice = chosen(source('two'));
    await until('both are trusted', () => trustNames().length === 2);
    await lookedAgain();
    assert.equal(issued.length, 1, 'no certificate that somebody does not trust yet');
    assert.equal(trustNames().length, 2, 'and none that somebody trusts no more');
    acknowledged = true;
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
    assert.deepEqual(trustNames(trusts[1]), ['cluster.local:one', 'cluster.local:two']);
    await until('the old one is trusted no more', () => trustNames().length === 1);
    assert.deepEqual(trustNames(), ['cluster.local:two']);
    assert.equal(issued.length, 2);
  });

  it('keeps trusting old roots for a while, which certificates from other replicas may still need', async () => {
    start({ spreadMs: 0, lingerMs: 60_000 });
    await until('a certificate', () => issued.length === 1);
    choice = chosen(source('two'));
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
    await lookedAgain();
    assert.deepEqual(trustNames(), ['cluster.local:one', 'cluster.local:two']);
  });

  it('goes back half-way without a certificate in between', async () => {
    acknowledged = false;
    start();
    await until('a certificate', () => issued.length === 1);
    choice = chosen(source('two'));
    await until('both are trusted', () => trustNames().length === 2);
    choice = chosen(source('one'));
    await until('one is trusted', () => trustNames().length === 1);
    assert.deepEqual(trustNames(), ['cluster.local:one']);
    assert.deepEqual([issued.length, two.issues], [1, 1], 'one certificate, and the throw-away one of the other');
  });

  /** Another replica whose sidecars have acknowledged the roots of some, and whose certificates lead to those of others. */
  function replica(acknowledges: readonly Outside[], needs: readonly Outside[], behindNamed = ['shop/api-1']): Replica {
    const prints = (of: readonly Outside[]): string[] =>
      of.flatMap(({ rootPem }) => readCertificates(rootPem).map(fingerprintOf));
    const roots = { acknowledged: prints(acknowledges), needed: prints(needs) };
    return {
      podName: 'there',
      report: {
        ...{ given: roots.acknowledged, ...roots, signing: roots.needed[0] ?? '', signer: '' },
        ...{ trustDomains: { 'cluster.local': roots }, sidecars: 1, behind: behindNamed.length, behindNamed },
      },
      neededRoots: new Map(needs.length === 0 ? [] : [['cluster.local', needs.map(({ rootPem }) => rootPem).join('')]]),
    };
  }

  it('waits for the sidecars of other replicas, says for which, and tells them what its own have', async () => {
    start({ lingerMs: 0 });
    await until('a certificate', () => issued.length === 1);
    others = [replica([one], [one])];
    choice = chosen(source('two'));
    await until('both are trusted', () => trustNames().length === 2);
    await until('it says so', () => report?.acknowledged.length === 2);
    await lookedAgain();
    assert.equal(issued.length, 1);
    const wait = ca.walk().waitFor(new Map([['cluster.local', two.rootPem]]));
    assert.deepEqual(wait?.holders, [{ podName: 'there', behind: 1, named: ['shop/api-1'] }]);
    const [rootOne] = readCertificates(one.rootPem).map(fingerprintOf);
    assert.deepEqual([report?.signing, report?.needed], [rootOne, [rootOne]]);
    others = [replica([one, two], [one])];
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
    await lookedAgain();
    assert.deepEqual(
      trustNames(),
      ['cluster.local:one', 'cluster.local:two'],
      'certificates there lead to the old root',
    );
    assert.deepEqual(report?.needed, readCertificates(two.rootPem).map(fingerprintOf));
    others = [replica([one, two], [two])];
    await until('the old one is trusted no more', () => trustNames().length === 1);
    assert.equal(issued.length, 2);
  });

  it('does not wait for ever: not for a sidecar here, nor for one there', async () => {
    [acknowledged, others] = [false, [replica([one], [one])]];
    start({ longestSpreadMs: 200 });
    await until('a certificate', () => issued.length === 1);
    choice = chosen(source('two'));
    await until('both are trusted', () => trustNames().length === 2);
    assert.deepEqual(
      ca
        .walk()
        .waitFor(new Map([['cluster.local', two.rootPem]]))
        ?.holders.map(({ podName, named }) => `${podName}: ${named.join()}`),
      ['here: shop/web-1', 'there: shop/api-1'],
    );
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
  });

  it('keeps a root that its own sidecars may still show certificates of', async () => {
    start({ lingerMs: 0 });
    await until('a certificate', () => issued.length === 1);
    choice = chosen(source('two'), source('one'));
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
    await until('the old one is needed no more', () => report?.needed.length === 1);
    acknowledged = false;
    choice = chosen(source('one'));
    await until('both are trusted', () => trustNames().length === 2);
    await until('the first signs again', () => signerOf(issued.at(-1)) === 'one');
    await lookedAgain();
    assert.equal(report?.needed.length, 2, 'the sidecar has not acknowledged its new certificate');
    assert.deepEqual(trustNames(), ['cluster.local:one', 'cluster.local:two']);
    acknowledged = true;
    await until('one is trusted', () => trustNames().length === 1);
    assert.deepEqual([...neededRoots.values()], [one.rootPem]);
  });

  it('joins a walk in its middle: signs with who signs elsewhere until sidecars there trust the next', async () => {
    others = [replica([one], [one])];
    last = [source('one')];
    choice = chosen(source('two')); // in one step: nothing here speaks of the first any more
    start({ lingerMs: 0 });
    await until('a certificate', () => issued.length === 1);
    assert.equal(signerOf(issued[0]), 'one');
    await until('both are trusted', () => trustNames().length === 2);
    await lookedAgain();
    assert.equal(issued.length, 1);
    others = [replica([one, two], [one])];
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
  });

  it('joins a walk whose former signer is gone: gives the roots of certificates elsewhere, and signs when its own are known', async () => {
    others = [replica([one], [one])];
    choice = chosen(source('two'));
    start({ lingerMs: 0 });
    await until('loaded', () => ca.loaded);
    await lookedAgain();
    assert.deepEqual(trustNames(), ['cluster.local:one', 'cluster.local:two']);
    assert.equal(issued.length, 0);
    others = [replica([one, two], [one])];
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
  });

  it('starts at once beside a replica with a sidecar that acknowledges nothing, where certificates lead to that root already', async () => {
    others = [replica([], [one])];
    start();
    await until('a certificate', () => issued.length === 1);
  });

  it('goes on with who signed last when it was away in the middle, and hands over when sidecars are back', async () => {
    last = [source('one', 'cluster.local', one.rootPem)];
    choice = chosen(source('two'), source('one'));
    start({ reconnectMs: 500 });
    await until('a certificate', () => issued.length === 1);
    assert.equal(signerOf(issued[0]), 'one');
    await lookedAgain();
    assert.equal(issued.length, 1);
    await until('the new one signs', () => signerOf(issued.at(-1)) === 'two');
  });

  it('does not wait for a former signer that is of no use', async () => {
    last = [source('missing')];
    start();
    await until('a certificate', () => issued.length === 1);
    assert.equal(signerOf(issued[0]), 'one');
  });

  it('starts with what was in force before while the choice cannot be followed', async () => {
    last = [source('one')];
    choice = { kind: 'problem', key: 'too-many-root-certificates', message: 'three', about: [] };
    start();
    await until('a certificate', () => issued.length === 1);
    assert.equal(certificateFacts(ca.state()).troubles[0]?.key, 'too-many-root-certificates');
  });

  it('changes the trust domain the same way', async () => {
    start();
    await until('a certificate', () => issued.length === 1);
    choice = chosen(source('one', 'example.com'));
    await until('the new trust domain', () => issued.at(-1)?.trustDomain === 'example.com');
    assert.deepEqual(trustNames(trusts[1]), ['cluster.local:one', 'example.com:one']);
    await until('the old one is gone', () => trustNames().length === 1);
    assert.deepEqual(trustNames(), ['example.com:one']);
    assert.equal(issued.length, 2);
  });

  it('keeps what it has when a choice cannot be followed, and says why', async () => {
    start();
    await until('a certificate', () => issued.length === 1);
    choice = { kind: 'problem', key: 'too-many-root-certificates', message: 'three', about: [] };
    await lookedAgain();
    assert.deepEqual(trustNames(), ['cluster.local:one']);
    assert.deepEqual(
      certificateFacts(ca.state()).troubles.map(({ key }) => key),
      ['too-many-root-certificates'],
    );
    choice = chosen(source('missing'));
    await lookedAgain();
    const facts = certificateFacts(ca.state());
    assert.deepEqual([facts.signing?.rootCertificate, facts.troubles[0]?.key], ['one', 'ca-secret-missing']);
    assert.deepEqual([issued.length, errors], [1, []]);
  });

  it('is not held up by a passive provider that is down', async () => {
    two.down = true;
    choice = chosen(source('one'), source('two'));
    start();
    await until('a certificate', () => issued.length === 1);
    await until('the trouble', () => certificateFacts(ca.state()).troubles.length === 1);
    const [trouble] = certificateFacts(ca.state()).troubles;
    assert.deepEqual(trouble, { key: 'provider-unreachable', message: 'two is down', rootCertificate: 'two' });
    assert.deepEqual(trustNames(), ['cluster.local:one']);
  });

  it('starts with the roots that were found before while its provider is down, and serves them without a certificate', async function () {
    this.timeout(20_000);
    one.down = true;
    choice = chosen(source('one', 'cluster.local', one.rootPem));
    start();
    await until('loaded', () => ca.loaded);
    await until('the roots', () => given.length > 0);
    assert.deepEqual([...(given[0]?.keys() ?? [])], ['roots']);
    await until('the trouble', () => certificateFacts(ca.state()).accountsFailing === 1);
    const [trouble] = certificateFacts(ca.state()).troubles;
    assert.match(trouble?.message ?? '', /MeshRootCertificate one.*one is down.*whose pods wait/);
    one.down = false;
    await until('the certificate', () => given.at(-1)?.has('workload') === true);
    assert.equal(certificateFacts(ca.state()).troubles.length, 0);
  });

  it('spreads a root that a provider began to use by itself, before any certificate needs it', async () => {
    start();
    await until('a certificate', () => issued.length === 1);
    made.set('one', two.provider); // the same MeshRootCertificate, and other roots behind it
    settings = { ...settings, certificateLifetimeMs: 2 * hour };
    await until('the new root signs', () => signerOf(issued.at(-1)) === 'two');
    const widened = trusts.findIndex((trust) => trustNames(trust).length === 2);
    assert.ok(widened > 0);
    assert.equal(signerOf(issued[0]), 'one');
    assert.equal(issued.length, 2);
  });

  it('trusts the root that stands by the built-in one, needs it when the two change places alone, and makes one certificate of each', async () => {
    const [old, next] = [
      await createAuthority({ now: Date.now(), commonName: 'old' }),
      await createAuthority({ now: Date.now(), commonName: 'next' }),
    ];
    made.set('one', createBuiltinProvider(old, Date.now));
    start();
    await until('a certificate', () => issued.length === 1);
    await until('its root is acknowledged', () => report?.acknowledged.length === 1);
    acknowledged = false;
    made.set('one', createBuiltinProvider(old, Date.now, next.rootsPem));
    const both = ['cluster.local:next', 'cluster.local:old'];
    await until('both are trusted', () => trustNames().join() === both.join());
    await lookedAgain();
    assert.deepEqual([report?.signing, report?.needed], [old.fingerprint, [old.fingerprint]]);
    assert.deepEqual(report?.given.toSorted(), [next.fingerprint, old.fingerprint].toSorted());
    assert.deepEqual(report?.acknowledged, [old.fingerprint]);
    settings = { ...settings, certificateLifetimeMs: 2 * hour };
    await until('what waits for nobody', () => issued.length === 2);
    assert.equal(signerOf(issued.at(-1)), 'old');

    acknowledged = true;
    await until('the acknowledgement', () => report?.acknowledged.length === 2);
    made.set('one', createBuiltinProvider(next, Date.now, old.rootsPem));
    await until('the other one signs', () => signerOf(issued.at(-1)) === 'next');
    await until('nobody needs the former', () => report?.needed.join() === next.fingerprint);
    assert.deepEqual([report?.signing, trustNames(), issued.length], [next.fingerprint, both, 3]);
    made.set('one', createBuiltinProvider(next, Date.now));
    await until('one root is left', () => trustNames().join() === 'cluster.local:next');
    assert.equal(issued.length, 3);
  });
});
