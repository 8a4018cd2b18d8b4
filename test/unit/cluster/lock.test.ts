import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withLock } from '#test/cluster/lock.ts';

describe('the lock of a test cluster', () => {
  let directory: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'osm-lock-'));
  });
  after(() => rm(directory, { recursive: true, force: true }));

  it('lets one in at a time, also when each removes the file that the others wait on', async () => {
    const path = join(directory, 'cluster.lock');
    let inside = 0;
    let most = 0;
    const contenders = Array.from({ length: 12 }, () =>
      withLock(
        path,
        () => undefined,
        async () => {
          inside += 1;
          most = Math.max(most, inside);
          assert.ok(existsSync(path), 'who comes next would lock another file');
          await rm(path);
          inside -= 1;
        },
      ),
    );
    await Promise.all(contenders);
    assert.equal(most, 1);
    assert.equal(existsSync(path), false);
  });

  it('says why it cannot be had', async () => {
    await assert.rejects(
      withLock(
        directory,
        () => undefined,
        async () => undefined,
      ),
      /could not be taken/u,
    );
  });
});
