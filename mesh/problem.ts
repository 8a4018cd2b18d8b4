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
