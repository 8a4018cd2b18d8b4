import assert from 'node:assert/strict';
import { createCoalescer } from '#controller/coalesce.ts';

describe('coalescer', () => {
  it('makes one run of many triggers, and one more of those that come while it runs', async () => {
    const runs: string[][] = [];
    const second = Promise.withResolvers<void>();
    const coalescer = createCoalescer({
      windowMs: 0,
      onError: (error) => assert.fail(String(error)),
      run: async (reasons) => {
        runs.push([...reasons]);
        if (runs.length === 1) {
          coalescer.trigger('late');
          coalescer.trigger('late');
        } else second.resolve();
      },
    });
    for (const reason of ['a', 'b', 'a']) coalescer.trigger(reason);
    await second.promise;
    coalescer.stop();
    assert.deepEqual(runs, [['a', 'b'], ['late']]);
  });

  it('reports a failure and goes on', async () => {
    const errors: unknown[] = [];
    const done = Promise.withResolvers<void>();
    const coalescer = createCoalescer({
      windowMs: 0,
      onError: (error) => {
        errors.push(error);
        coalescer.trigger('again');
      },
      run: async (reasons) => {
        if (reasons.has('again')) return done.resolve();
        throw new Error('broken');
      },
    });
    coalescer.trigger('first');
    await done.promise;
    coalescer.stop();
    assert.equal(errors.length, 1);
  });
});
