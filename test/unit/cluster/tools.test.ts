import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withLock } from '#test/cluster/lock.ts';
import { missingPackages } from '#test/cluster/packages.ts';
import { CommandError, must, run } from '#test/cluster/process.ts';
import { clusterFor, SkippedError } from '#test/cluster/target.ts';
import { waitFor } from '#test/cluster/wait.ts';

describe('running a command', () => {
  it('returns what it said, whatever its exit code', async () => {
    const result = await run('sh', ['-c', 'cat; echo wrong >&2; exit 3'], { input: 'in' });
    assert.deepEqual(result, { stdout: 'in', stderr: 'wrong\n', code: 3 });
  });
  it('that must succeed rejects with its last words', async () => {
    await assert.rejects(must('sh', ['-c', 'echo it broke >&2; exit 3']), (error: unknown) => {
      assert.ok(error instanceof CommandError);
      assert.equal(error.code, 3);
      assert.match(error.message, /exited with code 3:\nit broke$/u);
      return true;
    });
  });
  it('that does not exist rejects with its name', async () => {
    await assert.rejects(run('no-such-command', []), /no-such-command could not be started/u);
  });
  it('that outlives its time is killed', async () => {
    await assert.rejects(run('sleep', ['60'], { timeoutMs: 50 }), /sleep 60 took longer than 50 ms and was killed/u);
  });
});

describe('the lock', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'osm-lock-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('lets one at a time in', async () => {
    let inside = 0;
    let most = 0;
    const enter = (): Promise<void> =>
      withLock(
        join(folder, 'lock'),
        () => undefined,
        async () => {
          inside += 1;
          most = Math.max(most, inside);
          await new Promise((resolve) => setImmediate(resolve));
          inside -= 1;
        },
      );
    await Promise.all([enter(), enter(), enter()]);
    assert.equal(most, 1);
  });

  it('is free again after a failure', async () => {
    const failing = withLock(
      join(folder, 'lock'),
      () => undefined,
      () => Promise.reject(new Error('work failed')),
    );
    await assert.rejects(failing, /work failed/u);
    assert.equal(
      await withLock(
        join(folder, 'lock'),
        () => undefined,
        () => Promise.resolve('in'),
      ),
      'in',
    );
  });
});

describe('waiting', () => {
  it('ends with the condition', async () => {
    let asked = 0;
    await waitFor('three questions', 5000, () => Promise.resolve(++asked === 3));
    assert.equal(asked, 3);
  });
  it('gives up after its deadline and tells the state', async () => {
    const waiting = waitFor('the impossible', 0, () => Promise.resolve(false), {
      state: () => Promise.resolve('it is Tuesday'),
    });
    await assert.rejects(waiting, /the impossible: not within 0 s:\nit is Tuesday/u);
  });
  it('ends at once when its guard throws', async () => {
    const guard = (): void => {
      throw new Error('etcd has ended');
    };
    await assert.rejects(
      waitFor('never', 60_000, () => Promise.resolve(false), { guard }),
      /etcd has ended/u,
    );
  });
});

describe('missing system packages', () => {
  it('are those whose evidence is not there, by the name that apt-get takes', () => {
    const gone = ['/usr/lib/cni/bridge', 'nsenter'];
    assert.deepEqual(
      missingPackages((evidence) => !gone.includes(evidence)),
      ['containernetworking-plugins', 'util-linux'],
    );
  });
});

describe("somebody else's cluster", () => {
  const theirs = clusterFor({ name: 'osm', context: 'production' });

  it('has components that are not ours to stop', async () => {
    await assert.rejects(
      theirs.stopComponent('apiserver'),
      (error) => error instanceof SkippedError && /^skipped: /u.test(error.message),
    );
    await assert.rejects(theirs.restartComponent('kubelet'), SkippedError);
    assert.throws(() => theirs.logs('etcd'), SkippedError);
    assert.equal(theirs.serviceAccountKey(), undefined);
  });
  it('is not entered, and never taken down', async () => {
    assert.deepEqual(theirs.enter(['true']), ['true']);
    await theirs.down();
  });
});
