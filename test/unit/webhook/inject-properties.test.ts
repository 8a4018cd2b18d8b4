/** What holds for every pod: injection twice is injection once, and whoever is not injected is left alone. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { decide, wishOf } from '#webhook/inject/decide.ts';
import { inject } from '#webhook/inject/inject.ts';
import { allContainers, type Pod } from '#webhook/inject/pod.ts';
import { restore } from '#webhook/inject/restore.ts';
import { reviewPod } from '#webhook/mutate.ts';
import { arbitraryNamespace, arbitraryPod, meshedNamespace } from './arbitrary-pods.ts';
import { injectSettings } from './settings.ts';

const settings = fc
  .record({
    nativeSidecars: fc.boolean(),
    preStopSleepSeconds: fc.constantFrom(0, 5),
    scrape: fc.boolean(),
    privilegedInit: fc.boolean(),
  })
  .map((changes) => injectSettings(changes));

describe('injection, for every pod', () => {
  it('decides, and gives a sentence with its reason', () => {
    const kinds = new Set<string>();
    fc.assert(
      fc.property(arbitraryPod, arbitraryNamespace, (pod, namespace) => {
        const before = JSON.stringify(pod);
        const decision = decide(pod, namespace, injectSettings());
        assert.match(decision.reason, /^[a-z]+(-[a-z]+)*$/);
        assert.ok(decision.message.length > 10);
        assert.equal(JSON.stringify(pod), before, 'decide changed the pod');
        kinds.add(decision.kind);
      }),
      { numRuns: 500 },
    );
    assert.deepEqual([...kinds].toSorted(), ['inject', 'refuse', 'skip'], 'the pods made here reach every outcome');
  });

  it('wishes what the guard enforces: only a pod that is wished for is injected or refused, and no other is', () => {
    fc.assert(
      fc.property(arbitraryPod, arbitraryNamespace, (pod, namespace) => {
        const [wish, decision] = [wishOf(pod, namespace, injectSettings()), decide(pod, namespace, injectSettings())];
        assert.equal(decision.kind === 'skip', wish.kind === 'skip');
        if (wish.kind !== 'inject') assert.deepEqual(decision, wish);
      }),
      { numRuns: 500 },
    );
  });

  it('is the same the second time, is decided the same, and can be taken back', () => {
    let injected = 0;
    fc.assert(
      fc.property(arbitraryPod, settings, (pod, how) => {
        const decision = decide(pod, meshedNamespace, how);
        if (decision.kind !== 'inject') return;
        injected++;
        const before = JSON.stringify(pod);
        const once = inject(pod, how);
        assert.equal(JSON.stringify(pod), before, 'inject changed its argument');
        assert.deepEqual(inject(once, how), once);
        assert.deepEqual(decide(once, meshedNamespace, how), decision);
        const names = allContainers(restore(once).spec).map(({ name }) => name);
        assert.deepEqual(
          names,
          allContainers(pod.spec).map(({ name }) => name),
        );
      }),
      { numRuns: 500 },
    );
    assert.ok(injected >= 50, `${injected} of 500 pods were injected`);
  });

  it('takes back each probe and hook as the user wrote it', () => {
    fc.assert(
      fc.property(arbitraryPod, settings, (pod, how) => {
        if (decide(pod, meshedNamespace, how).kind !== 'inject') return;
        const again = restore(inject(pod, how));
        // preStop.sleep of a native pod stays: it does no harm to a copy, and nobody knows whose it is.
        const stopped =
          how.nativeSidecars &&
          (how.preStopSleepSeconds > 0 || 'openservicemesh.io/prestop-sleep' in (pod.metadata.annotations ?? {}));
        if (!stopped) assert.deepEqual(portsOf(again), portsOf(pod));
      }),
      { numRuns: 300 },
    );
  });

  it('answers without a patch, byte for byte as it came, for each pod that it does not take', async () => {
    await fc.assert(
      fc.asyncProperty(arbitraryPod, arbitraryNamespace, async (pod, namespace) => {
        const text = JSON.stringify(pod);
        const object = JSON.parse(text) as Record<string, unknown>;
        const request = { uid: 'u', kind: 'Pod', namespace: namespace.metadata.name, operation: 'CREATE', object };
        const reviewed = await reviewPod(request, {
          mesh: () => injectSettings(),
          namespace: async () => namespace,
        });
        assert.equal(JSON.stringify(object), text);
        assert.equal(reviewed.verdict.patch !== undefined, reviewed.decision === 'inject');
        assert.equal(reviewed.verdict.allowed, reviewed.decision !== 'refuse');
        if (!reviewed.verdict.allowed) assert.ok(reviewed.verdict.message?.endsWith(`(${reviewed.reason})`));
      }),
      { numRuns: 300 },
    );
  });
});

/** Which port each probe and hook asks: what rewriting changes in all of them. A port's name comes back as its number. */
function portsOf(pod: Pod): unknown[] {
  return allContainers(pod.spec).map(({ ports, livenessProbe, readinessProbe, startupProbe, lifecycle }) => {
    const numbered = (port: number | string | undefined) =>
      typeof port !== 'string'
        ? port
        : (ports?.find(({ name }) => name === port)?.containerPort ?? (/^\d+$/.test(port) ? Number(port) : port));
    return [livenessProbe, readinessProbe, startupProbe, lifecycle?.postStart, lifecycle?.preStop].map(
      (one) => one && [Object.keys(one), numbered(one.httpGet?.port), one.tcpSocket?.port, one.grpc?.port],
    );
  });
}
