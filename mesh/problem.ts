/** A thing that the compiler found wrong in what the user applied. Problems are output of `compile`, never exceptions. */

/** The object that a problem is about, as the API server names it. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

export interface Problem {
  /** Stable machine key, kebab-case, e.g. `split-backend-missing`: log field, Event reason, metric label, test assertion. */
  readonly key: string;
  readonly object: ObjectRef;
  /** Path of the field at fault, e.g. `spec.backends[1].service`; empty when it is the whole object. */
  readonly field: string;
  /** One sentence: what is wrong. */
  readonly message: string;
  /** One sentence: what to do. */
  readonly remedy: string;
}

/** The reference of an object that has a namespace. */
export function refOf(kind: string, object: { readonly namespace: string; readonly name: string }): ObjectRef {
  return { kind, namespace: object.namespace, name: object.name };
}

/** A total order, so that the list of problems never depends on the order of the input. */
export function compareProblems(a: Problem, b: Problem): number {
  const left = sortKey(a);
  const right = sortKey(b);
  if (left === right) return 0;
  return left < right ? -1 : 1;
}

function sortKey({ object, field, key, message }: Problem): string {
  return [object.kind, object.namespace, object.name, field, key, message].join('\u0000');
}
