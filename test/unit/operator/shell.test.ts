/** The operator's shell where it decides something itself: when passes run, what it reads of Secrets, what it tells. */
import assert from 'node:assert/strict';
import type { Condition } from '#kubernetes/conditions.ts';
import { createAuthority } from '#certificates/ca.ts';
import { issueServing } from '#certificates/leaf.ts';
import { decode, readAuthority, readServingCertificate } from '#operator/certificate-secrets.ts';
import { readEnvironment } from '#operator/environment.ts';
import { eventFor } from '#operator/mesh-events.ts';
import { createMetrics } from '#operator/metrics.ts';
import { levelOf } from '#operator/log-level.ts';
import { OwnWrites } from '#operator/own-writes.ts';
import { runPasses } from '#operator/passes.ts';
import type { ManagedObject } from '#operator/plan/observed.ts';
import type { Pass } from '#operator/reconcile.ts';
import { meshConfigOf, now, observed } from './fixtures.ts';

const pass = (requeueAfter?: number): Pass => ({
  plan: { reason: { key: 'running', message: '' }, steps: [], requeueAfter },
  observed: observed(),
  executed: { outcome: { kind: 'done' }, changes: 0 },
  statusWritten: false,
  requeueAfter,
});

const secret = (data: Record<string, string>): ManagedObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's', namespace: 'n' },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')])),
});

describe('operator/passes', () => {
  it('makes one more pass of any number of changes during a pass, and never two at once', async () => {
    let listener = (): void => {};
    let running = 0;
    let count = 0;
    const gate = Promise.withResolvers<void>();
    const passes = runPasses(
      {
        onStoreChange: (given) => {
          listener = given;
          return () => {};
        },
        async reconcile() {
          running += 1;
          count += 1;
          assert.equal(running, 1);
          if (count === 1) await gate.promise;
          running -= 1;
          return pass();
        },
      },
      { onPass: () => {}, onError: (error) => assert.fail(String(error)) },
    );
    for (let change = 0; change < 5; change++) listener();
    gate.resolve();
    await passes.idle();
    assert.equal(count, 2);
    await passes.stop();
    listener();
    await passes.idle();
    assert.equal(count, 2, 'none after stop');
  });

  it('tries again after a failure, and at once when a pass asks for that', async () => {
    const second = Promise.withResolvers<void>();
    const errors: string[] = [];
    let count = 0;
    const passes = runPasses(
      {
        onStoreChange: () => () => {},
        reconcile() {
          count += 1;
          if (count === 1) return Promise.reject(new Error('refused'));
          if (count === 2) return Promise.resolve(pass(0));
          second.resolve();
          return Promise.resolve(pass());
        },
      },
      { onPass: () => {}, onError: (error) => errors.push(String(error)) },
    );
    await second.promise;
    await passes.stop();
    assert.deepEqual(errors, ['Error: refused']);
    assert.equal(count, 3);
  });
});

describe('operator/own-writes', () => {
  const object = (resourceVersion: string): ManagedObject => ({
    ...secret({}),
    metadata: { name: 's', resourceVersion },
  });

  it('stands in for the store until that moves on', () => {
    const writes = new OwnWrites();
    assert.equal(writes.note(object('1'), object('2'), 0), true);
    assert.equal(writes.newest('Secret//s', object('1'), 10)?.metadata.resourceVersion, '2');
    assert.equal(writes.newest('Secret//s', object('3'), 20)?.metadata.resourceVersion, '3');
    assert.equal(writes.newest('Secret//s', object('1'), 30)?.metadata.resourceVersion, '1', 'it was forgotten');
  });

  it('does not outlive the store’s patience: an object deleted right after it was made is made again', () => {
    const writes = new OwnWrites();
    writes.note(undefined, object('2'), 0);
    assert.equal(writes.overlay([], 4_999).length, 1);
    assert.equal(writes.overlay([], 5_000).length, 0);
  });

  it('counts a write that stored nothing as none', () => {
    assert.equal(new OwnWrites().note(object('1'), object('1'), 0), false);
  });
});

describe('operator/certificate-secrets', () => {
  it('tells absent, unreadable and present authorities apart', async () => {
    const { certificatePem, privateKey, fingerprint } = await createAuthority({ now });
    assert.equal(readAuthority(undefined, 's').kind, 'absent');
    for (const data of [{}, { 'ca.crt': certificatePem }, { 'ca.crt': 'text', 'private.key': 'k' }]) {
      const read = readAuthority(secret(data as Record<string, string>), 's');
      assert.match(read.kind === 'unreadable' ? read.message : read.kind, /^Secret s: .*restore it/);
    }
    const read = readAuthority(secret({ 'ca.crt': certificatePem, 'private.key': privateKey.revealText() }), 's');
    assert.equal(read.kind === 'present' && read.authority.fingerprint, fingerprint);
  });

  it('knows which of the CAs beside it signed a serving certificate, and when none did', async () => {
    const [ours, another] = [await createAuthority({ now }), await createAuthority({ now })];
    const issued = await issueServing(ours, ['osm-injector.osm-system.svc'], { now, lifetimeMs: 3_600_000 });
    const pair = { 'tls.crt': issued.chainPem, 'tls.key': issued.privateKey.revealText() };
    const beside = (authorities: string) => readServingCertificate(secret({ ...pair, 'ca.crt': authorities }));
    const read = beside(another.certificatePem + ours.certificatePem);
    assert.equal(read?.signer, ours.fingerprint);
    assert.deepEqual(read?.dnsNames, ['osm-injector.osm-system.svc']);
    assert.equal(read?.notAfter, issued.notAfter);
    assert.equal(beside(another.certificatePem)?.signer, undefined);
    assert.equal(readServingCertificate(secret({ 'tls.crt': issued.chainPem })), undefined, 'without its key');
    assert.equal(decode(secret({ empty: '' }), 'empty'), undefined);
  });
});

describe('operator/mesh-events', () => {
  const condition = (status: 'True' | 'False', reason: string): Condition => {
    const [message, lastTransitionTime] = ['A sentence.', '2026-06-01T12:00:00Z'];
    return { type: 'ControlPlaneCARotating', status, reason, message, observedGeneration: 1, lastTransitionTime };
  };

  it('tells each step of a rotation and its end, and nothing of there having been none', () => {
    const steady = meshConfigOf({});
    const rotating = { ...steady, status: { conditions: [condition('True', 'RetiringFormerCA')] } };
    assert.equal(eventFor(steady, condition('True', 'AddingTrust'))?.reason, 'AddingTrust');
    assert.equal(eventFor(rotating, condition('False', 'NotRotating'))?.reason, 'NotRotating');
    assert.equal(eventFor(steady, condition('False', 'NotRotating')), undefined);
  });
});

describe('operator/metrics', () => {
  it('shows the end of each certificate and the rotation’s step, and forgets both with the lead', async () => {
    const metrics = createMetrics();
    metrics.certificates(observed());
    const text = await metrics.registry.metrics();
    assert.match(text, /osm_operator_certificate_expiry_timestamp_seconds\{certificate="osm-injector"\} 1782820800\n/);
    assert.match(
      text,
      /osm_operator_certificate_expiry_timestamp_seconds\{certificate="control-plane-ca"\} 1866715200\n/,
    );
    assert.match(text, /osm_operator_ca_rotation_step\{step="none"\} 1\n/);
    assert.match(text, /osm_operator_ca_rotation_step\{step="waiting"\} 0\n/);
    metrics.leading(false);
    assert.doesNotMatch(await metrics.registry.metrics(), /certificate="|step="none"/);
  });
});

describe('operator/environment', () => {
  it('names the variable that is missing', () => {
    assert.throws(() => readEnvironment({ OSM_NAMESPACE: 'osm-system' }), /OSM_POD_NAME is not set/);
  });

  it('has the design’s waits unless a test shortens them, and refuses what is no number', () => {
    const own = { OSM_NAMESPACE: 'osm-system', OSM_POD_NAME: 'osm-operator-1' };
    assert.deepEqual(readEnvironment(own).waits, { trustMs: 3_600_000, retireMs: 86_400_000, askMs: 10_000 });
    assert.equal(readEnvironment({ ...own, OSM_TEST_CA_TRUST_SECONDS: '2.5' }).waits.trustMs, 2_500);
    assert.throws(() => readEnvironment({ ...own, OSM_TEST_CA_RETIRE_SECONDS: '1h' }), /OSM_TEST_CA_RETIRE_SECONDS/);
    assert.deepEqual(readEnvironment(own).rootWaits, { switchMs: 120_000, retireMs: 600_000 });
    assert.equal(readEnvironment({ ...own, OSM_TEST_ROOT_SWITCH_SECONDS: '2' }).rootWaits.switchMs, 2_000);
  });

  it('takes log levels by OSM’s names', () => {
    assert.equal(levelOf(meshConfigOf({ observability: { osmLogLevel: 'disabled' } })), 'silent');
    assert.equal(levelOf(meshConfigOf({ observability: { osmLogLevel: 'loud' } })), undefined);
    assert.equal(levelOf(undefined), undefined);
  });
});
