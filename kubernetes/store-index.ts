import type { ObjectKey, Store } from './types.ts';

/** The objects of a store by a value computed from them, e.g. pods by node. */
export interface StoreIndex<T> {
  /** The objects that have this value, in no particular order. */
  get(value: string): T[];
  /** Stops following the store. */
  close(): void;
}

/** An index over `values` of each object; an object may have several, or none. */
export function createIndex<T>(store: Store<T>, values: (object: T) => readonly string[]): StoreIndex<T> {
  const keys = new Map<string, Set<ObjectKey>>();

  const remove = (key: ObjectKey, object: T): void => {
    for (const value of values(object)) {
      const set = keys.get(value);
      set?.delete(key);
      if (set?.size === 0) keys.delete(value);
    }
  };
  const insert = (key: ObjectKey, object: T): void => {
    for (const value of values(object)) {
      const set = keys.get(value);
      if (set === undefined) keys.set(value, new Set([key]));
      else set.add(key);
    }
  };

  for (const key of store.keys()) {
    const object = store.get(key);
    if (object !== undefined) insert(key, object);
  }
  const close = store.subscribe((change) => {
    if (change.type !== 'added') remove(change.key, change.previous);
    if (change.type !== 'deleted') insert(change.key, change.object);
  });
  return {
    get(value) {
      const found: T[] = [];
      for (const key of keys.get(value) ?? []) {
        const object = store.get(key);
        if (object !== undefined) found.push(object);
      }
      return found;
    },
    close,
  };
}
