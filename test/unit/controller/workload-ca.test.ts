/** The workload CA's part of the controller, with a real authority: when certificates are issued anew. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import type { WorkloadCertificate } from '#certificates/leaf.ts';
import { createWorkloadCa, type WorkloadCa } from '#controller/workload-ca.ts';
import { eventually } from '#test/support/eventually.ts';

const hour = 3_600_000;

describe('controller/workload-ca', () => {
  const issued: WorkloadCertificate[] = [];
  const errors: unknown[] = [];
  let settings = { trustDomain: 'cluster.local', certificateLifetimeMs: 24 * hour };
  let looks = 0;
  let ca: WorkloadCa;

  before(async () => {
    const authority = await createAuthority({ now: Date.now() });
    ca = createWorkloadCa({
      load: () => {
        looks += 1;
        return Promise.resolve(authority);
      },
      settings: () => settings,
      onEvent: (event) => {
        if (event.name === 'issued') issued.push(event.certificate);
      },
      onAuthority: () => undefined,
      onError: (error) => errors.push(error),
      now: Date.now,
      lookEveryMs: { missing: 1, found: 5 },
    });
    ca.start();
    ca.subscribe('shop/web', () => undefined);
  });
  after(() => ca.stop());

  const certificates = (count: number): Promise<unknown> =>
    eventually(`${count} certificates`, async () => issued.length >= count, {
      deadlineMs: 5_000,
      everyMs: 5,
      state: async () => `${issued.length} issued, errors: ${errors.join(', ')}`,
    });
  /** Every look that was under way has ended, and one more that began after. */
  const lookedAgain = (): Promise<unknown> => {
    const from = looks;
    return eventually('two more looks', async () => looks >= from + 2, { deadlineMs: 5_000, everyMs: 5 });
  };

  it('issues once, and not again while nothing changes', async () => {
    await certificates(1);
    await lookedAgain();
    assert.equal(issued.length, 1);
  });

  for (const [change, next, lifetimeMs] of [
    ['a shorter lifetime', { certificateLifetimeMs: hour }, hour],
    ['a longer lifetime', { certificateLifetimeMs: 48 * hour }, 48 * hour],
    ['another trust domain', { trustDomain: 'example.com' }, 48 * hour],
  ] as const) {
    it(`issues anew at once for ${change}, and then once`, async () => {
      const before = issued.length;
      settings = { ...settings, ...next };
      await certificates(before + 1);
      await lookedAgain();
      assert.equal(issued.length, before + 1);
      const { notAfter, trustDomain } = issued.at(-1) ?? assert.fail();
      assert.ok(Math.abs(notAfter - Date.now() - lifetimeMs) < 60_000, new Date(notAfter).toISOString());
      assert.equal(trustDomain, settings.trustDomain);
    });
  }
});
