import assert from 'node:assert/strict';
import { createRefusals } from '#controller/refusals.ts';
import { EMPTY_SNAPSHOT, type ProxySnapshot, resourceMap } from '#xds/cache/snapshot.ts';
import { CLUSTER } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';

const cluster = (name: string, hash: string): Resource => ({ type: CLUSTER, name, hash, bytes: new Uint8Array() });
const clusters = (...resources: Resource[]): ProxySnapshot => ({
  ...EMPTY_SNAPSHOT,
  [CLUSTER]: resourceMap(resources),
});
const versions = (snapshot: ProxySnapshot): string[] =>
  [...snapshot[CLUSTER].values()].map(({ name, hash }) => `${name}@${hash}`);

describe('refused resources', () => {
  it('are replaced by what the refuser holds, for its account alone', () => {
    const refusals = createRefusals();
    const wanted = clusters(cluster('a', '2'), cluster('b', '1'));
    refusals.note('shop/web', cluster('a', '2'), cluster('a', '1'));
    assert.deepEqual(versions(refusals.lastGood('shop/web', wanted)), ['a@1', 'b@1']);
    assert.equal(refusals.lastGood('shop/other', wanted), wanted);
  });

  it('are left out when the refuser holds none', () => {
    const refusals = createRefusals();
    refusals.note('shop/web', cluster('a', '2'), undefined);
    assert.deepEqual(versions(refusals.lastGood('shop/web', clusters(cluster('a', '2'), cluster('b', '1')))), ['b@1']);
  });

  it('are never a replacement themselves', () => {
    const refusals = createRefusals();
    refusals.note('shop/web', cluster('a', '2'), cluster('a', '1'));
    refusals.note('shop/web', cluster('a', '3'), cluster('a', '2'));
    assert.deepEqual(versions(refusals.lastGood('shop/web', clusters(cluster('a', '3')))), ['a@1']);
  });

  it('are given again once they change, and keep the map itself where nothing was refused', () => {
    const refusals = createRefusals();
    refusals.note('shop/web', cluster('a', '2'), undefined);
    const mended = clusters(cluster('a', '3'));
    assert.equal(refusals.lastGood('shop/web', mended)[CLUSTER], mended[CLUSTER]);
  });

  it('are forgotten with the account', () => {
    const refusals = createRefusals();
    refusals.note('shop/web', cluster('a', '2'), undefined);
    refusals.forget('shop/web');
    assert.deepEqual(versions(refusals.lastGood('shop/web', clusters(cluster('a', '2')))), ['a@2']);
  });
});
