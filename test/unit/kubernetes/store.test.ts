import assert from 'node:assert/strict';
import fc from 'fast-check';
import { createStore, keyOf } from '#kubernetes/store.ts';
import { createIndex } from '#kubernetes/store-index.ts';
import type { StoreChange, StoreEntry } from '#kubernetes/types.ts';

const entry = (value: string, version = '1', uid = 'u'): StoreEntry<string> => ({ value, version, uid });
const fail = (error: unknown): never => assert.fail(String(error));

function observed(): { store: ReturnType<typeof createStore<string>>; changes: StoreChange<string>[] } {
  const store = createStore<string>(fail);
  const changes: StoreChange<string>[] = [];
  store.subscribe((change) => changes.push(change));
  return { store, changes };
}

describe('the store', () => {
  it('tells additions, updates and deletions, and nothing when nothing changed', () => {
    const { store, changes } = observed();
    store.set('a', entry('x'));
    store.set('a', entry('x'));
    store.set('a', entry('y', '2'));
    store.set('a', undefined);
    store.set('a', undefined);
    assert.deepEqual(changes, [
      { type: 'added', key: 'a', object: 'x' },
      { type: 'updated', key: 'a', object: 'y', previous: 'x' },
      { type: 'deleted', key: 'a', previous: 'y' },
    ]);
  });

  it('takes the same name with another uid for another object', () => {
    const { store, changes } = observed();
    store.set('a', entry('x', '1', 'old'));
    store.set('a', entry('x', '9', 'new'));
    assert.deepEqual(changes.slice(1), [
      { type: 'deleted', key: 'a', previous: 'x' },
      { type: 'added', key: 'a', object: 'x' },
    ]);
  });

  it('shows listeners the whole new list, not a half', () => {
    const store = createStore<string>(fail);
    const sizes: number[] = [];
    store.set('gone', entry('x'));
    store.subscribe(() => sizes.push(store.size));
    store.replace(
      new Map([
        ['a', entry('x')],
        ['b', entry('x')],
      ]),
    );
    assert.deepEqual(sizes, [2, 2, 2]);
  });

  it('goes on when a listener throws, and when it unsubscribes while it is called', () => {
    const errors: unknown[] = [];
    const store = createStore<string>((error) => errors.push(error));
    const seen: string[] = [];
    store.subscribe(() => {
      throw new Error('faulty reader');
    });
    const leave = store.subscribe((change) => {
      seen.push(change.key);
      leave();
    });
    store.set('a', entry('x'));
    store.set('b', entry('x'));
    assert.deepEqual(seen, ['a']);
    assert.equal(errors.length, 2);
  });

  it('always equals the last list, and its changes lead there (any lists)', () => {
    const list = fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd'),
      fc.record({ version: fc.constantFrom('1', '2'), uid: fc.constantFrom('u', 'v') }),
    );
    fc.assert(
      fc.property(fc.array(list, { maxLength: 6 }), (lists) => {
        const { store, changes } = observed();
        const replayed = new Map<string, string>();
        const index = createIndex(store, (value) => value.split(':'));
        for (const each of lists) {
          const wanted = new Map(
            Object.entries(each).map(([key, { version, uid }]) => [key, entry(`${uid}:${version}`, version, uid)]),
          );
          store.replace(wanted);
          for (const change of changes.splice(0)) {
            if (change.type === 'added') assert.ok(!replayed.has(change.key));
            else assert.equal(replayed.get(change.key), change.previous);
            if (change.type === 'deleted') replayed.delete(change.key);
            else replayed.set(change.key, change.object);
          }
          const expected = new Map([...wanted].map(([key, { value }]) => [key, value]));
          assert.deepEqual(replayed, expected);
          assert.deepEqual([...store.values()].sort(), [...expected.values()].sort());
          for (const part of ['u', 'v', '1', '2']) {
            const values = [...expected.values()].filter((value) => value.split(':').includes(part));
            assert.deepEqual(index.get(part).sort(), values.sort());
          }
        }
      }),
    );
  });

  it('names objects by namespace and name', () => {
    const object = (metadata: { name: string; namespace?: string }) => ({ apiVersion: 'v1', kind: 'X', metadata });
    assert.equal(keyOf(object({ name: 'n', namespace: 'ns' })), 'ns/n');
    assert.equal(keyOf(object({ name: 'n' })), 'n');
  });
});
