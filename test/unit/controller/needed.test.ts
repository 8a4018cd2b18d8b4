/** Which roots stay, for certificates that sidecars may still show. */
import assert from 'node:assert/strict';
import { createAuthority } from '#certificates/ca.ts';
import type { Trust } from '#certificates/trust.ts';
import { createNeeded } from '#controller/needed.ts';

describe('controller/needed', () => {
  const at = Date.now();
  let former: Trust;
  let next: Trust;

  before(async () => {
    const rootOf = async (commonName: string): Promise<Trust> =>
      new Map([['cluster.local', (await createAuthority({ now: at, commonName })).rootsPem]]);
    [former, next] = await Promise.all([rootOf('former'), rootOf('next')]);
  });

  const counts = (trust: Trust): number => [...trust.values()].join('').match(/BEGIN/g)?.length ?? 0;

  it('keeps a root until sidecars have acknowledged the certificates that took over', () => {
    const needed = createNeeded({ now: () => at, elapsed: () => 0, longestMs: 90_000 });
    needed.look(former, true);
    assert.deepEqual([needed.roots, needed.isWaiting], [former, false]);
    needed.look(next, false);
    assert.deepEqual([counts(needed.roots), needed.isWaiting], [2, true]);
    needed.look(next, true);
    assert.deepEqual([needed.roots, needed.isWaiting], [next, false]);
  });

  it('lets go of it in the end, for a sidecar that never acknowledges', () => {
    let elapsed = 0;
    const needed = createNeeded({ now: () => at, elapsed: () => elapsed, longestMs: 90_000 });
    needed.look(former, false);
    needed.look(next, false);
    elapsed += 89_999;
    needed.look(next, false);
    assert.equal(counts(needed.roots), 2);
    elapsed += 1;
    needed.look(next, false);
    assert.deepEqual(needed.roots, next);
  });

  it('takes no leap of the wall clock for time', () => {
    let now = at;
    const needed = createNeeded({ now: () => now, elapsed: () => 0, longestMs: 90_000 });
    needed.look(former, false);
    needed.look(next, false);
    now += 3_600_000;
    needed.look(next, false);
    assert.equal(counts(needed.roots), 2);
  });
});
