import type { KubeObject, ObjectKey, Store, StoreChange, StoreEntry } from './types.ts';

/** The key of an object in its store. */
export function keyOf(object: KubeObject): ObjectKey {
  const { namespace, name } = object.metadata;
  return namespace ? `${namespace}/${name}` : name;
}

/** A store that its reflector writes. Listeners are called once everything that belongs together is written. */
export interface WritableStore<T> extends Store<T> {
  /** Sets what is known of a key; undefined removes it. */
  set(key: ObjectKey, entry: StoreEntry<T> | undefined): void;
  /** Makes `entries` the whole content: what is not in it is deleted, what did not change is left alone. */
  replace(entries: ReadonlyMap<ObjectKey, StoreEntry<T>>): void;
}

/** An empty store. `onListenerError` gets what a listener throws: a faulty reader must not stop the others. */
export function createStore<T>(onListenerError: (error: unknown) => void): WritableStore<T> {
  const entries = new Map<ObjectKey, StoreEntry<T>>();
  const listeners = new Set<(change: StoreChange<T>) => void>();

  function write(key: ObjectKey, next: StoreEntry<T> | undefined, changes: StoreChange<T>[]): void {
    const before = entries.get(key);
    if (next === undefined) {
      if (before === undefined) return;
      entries.delete(key);
      changes.push({ type: 'deleted', key, previous: before.value });
      return;
    }
    if (before === undefined) {
      changes.push({ type: 'added', key, object: next.value });
    } else if (before.uid !== next.uid) {
      // Deleted and made again while nobody watched: another object, whoever it was that carried the name.
      changes.push({ type: 'deleted', key, previous: before.value }, { type: 'added', key, object: next.value });
    } else if (before.version !== next.version) {
      changes.push({ type: 'updated', key, object: next.value, previous: before.value });
    } else {
      return;
    }
    entries.set(key, next);
  }

  function tell(changes: readonly StoreChange<T>[]): void {
    for (const change of changes) {
      for (const listener of [...listeners]) {
        try {
          listener(change);
        } catch (error) {
          onListenerError(error);
        }
      }
    }
  }

  return {
    get size() {
      return entries.size;
    },
    get: (key) => entries.get(key)?.value,
    keys: () => entries.keys(),
    *values() {
      for (const entry of entries.values()) yield entry.value;
    },
    entry: (key) => entries.get(key),
    subscribe(listener) {
      const own = (change: StoreChange<T>): void => listener(change); // the same function may subscribe twice
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    set(key, entry) {
      const changes: StoreChange<T>[] = [];
      write(key, entry, changes);
      tell(changes);
    },
    replace(wanted) {
      const changes: StoreChange<T>[] = [];
      for (const key of [...entries.keys()]) if (!wanted.has(key)) write(key, undefined, changes);
      for (const [key, entry] of wanted) write(key, entry, changes);
      tell(changes);
    },
  };
}
