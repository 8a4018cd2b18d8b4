/**
 * Remembers a function's result for as long as its argument lives. The mesh hands out the same object for the same part, so
 * what is shared between sidecars is translated once, and is forgotten with the model it came from.
 */
export function memo<K extends object, V>(make: (key: K) => V): (key: K) => V {
  const known = new WeakMap<K, { readonly value: V }>();
  return (key) => {
    const found = known.get(key);
    if (found !== undefined) return found.value;
    const value = make(key);
    known.set(key, { value });
    return value;
  };
}

/** The same for a result that depends on two objects. */
export function memo2<A extends object, B extends object, V>(make: (a: A, b: B) => V): (a: A, b: B) => V {
  const byFirst = memo((a: A) => memo((b: B) => make(a, b)));
  return (a, b) => byFirst(a)(b);
}

/** The same for a number of which there are few, such as a setting: it is remembered for good. */
export function memoNumber<V>(make: (key: number) => V): (key: number) => V {
  const known = new Map<number, V>();
  return (key) => {
    let value = known.get(key);
    if (value === undefined) {
      value = make(key);
      known.set(key, value);
    }
    return value;
  };
}
