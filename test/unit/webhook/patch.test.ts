/** A patch is what the API server applies: here by an independent implementation of RFC 6902. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { applyPatch } from 'rfc6902';
import { decide } from '#webhook/inject/decide.ts';
import { inject } from '#webhook/inject/inject.ts';
import { patchOf } from '#webhook/inject/patch.ts';
import { arbitraryPod, meshedNamespace } from './arbitrary-pods.ts';
import { injectSettings } from './settings.ts';

function applied(before: object, after: object): unknown {
  const document = JSON.parse(JSON.stringify(before)) as unknown;
  // As it travels.
  const operations = JSON.parse(JSON.stringify(patchOf(before, after))) as ReturnType<typeof patchOf>;
  for (const failure of applyPatch(document, operations)) assert.equal(failure, null);
  return document;
}

/** Few keys and names, so that the two documents share many of them. */
const { document } = fc.letrec((tie) => ({
  leaf: fc.constantFrom<unknown>(0, 1, 'a', '', true, null),
  list: fc.array(tie('value'), { maxLength: 4 }),
  object: fc.dictionary(fc.constantFrom('name', 'a', 'b/c', 'd~e', 'f'), tie('value'), { maxKeys: 4 }),
  value: fc.oneof({ depthSize: 'small' }, tie('leaf'), tie('list'), tie('object')),
  document: fc.dictionary(fc.constantFrom('metadata', 'spec', 'x~/y'), tie('value')),
}));

describe('patch', () => {
  it('makes one document of the other, whatever they are', () => {
    fc.assert(
      fc.property(document as fc.Arbitrary<object>, document as fc.Arbitrary<object>, (before, after) => {
        assert.deepEqual(applied(before, after), JSON.parse(JSON.stringify(after)));
      }),
      { numRuns: 2_000 },
    );
  });

  it('is empty for equal documents, and makes the injected pod of the pod', () => {
    fc.assert(
      fc.property(arbitraryPod, (pod) => {
        assert.deepEqual(patchOf(pod, structuredClone(pod)), []);
        if (decide(pod, meshedNamespace, injectSettings()).kind !== 'inject') return;
        const injected = inject(pod, injectSettings());
        assert.deepEqual(applied(pod, injected), JSON.parse(JSON.stringify(injected)));
      }),
    );
  });

  it('puts containers in front of others without saying those again', () => {
    const container = (name: string) => ({ name, image: name });
    const before = { list: [container('a'), container('b')] };
    assert.deepEqual(patchOf(before, { list: [container('x'), container('a'), { ...container('b'), image: 'c' }] }), [
      { op: 'add', path: '/list/0', value: container('x') },
      { op: 'replace', path: '/list/2/image', value: 'c' },
    ]);
  });
});
