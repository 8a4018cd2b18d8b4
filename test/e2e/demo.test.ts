/** The bookstore walk, as `npm run demo -- --check` does it. */
import assert from 'node:assert/strict';
import { deployBookstore } from '../../demo/deploy.ts';
import { walk } from '../../demo/walk.ts';
import { lab } from './support/lab.ts';

describe('the bookstore', () => {
  before(() => lab.meshIsUp());
  after(() => lab.setPermissive(true));

  it('walks its nine steps', async () => {
    const options = {
      kubectl: (args: readonly string[], input?: string) => lab.kubectl(args, input),
      log: (line: string) => console.log(`      ${line}`),
      manifests: new URL('../../demo/manifests/', import.meta.url),
      meshNamespace: 'osm-system',
      check: true,
    };
    await deployBookstore(options);
    assert.equal(await walk(options), 0);
  });
});
