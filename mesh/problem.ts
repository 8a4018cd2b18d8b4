/** A thing that the compiler found wrong in what the user applied. Problems are output of `compile`, never exceptions. */
import { compareText } from './order.ts';

/** The kinds that problems are about. `controller/subjects.ts` says how each is told. */
export type ProblemKind =
  | 'MeshConfig'
  | 'Namespace'
  | 'Pod'
  | 'Service'
  | 'HTTPRouteGroup'
  | 'TCPRoute'
  | 'TrafficSplit'
  | 'TrafficTarget';

/** The object that a problem is about, as the API server names it. `namespace` is empty where the kind has none. */
export interface ObjectRef {
  readonly kind: ProblemKind;
  readonly namespace: string;
  readonly name: string;
}

export interface Problem {
  /** Stable machine key, kebab-case, e.g. `split-backend-missing`: log field, Event reason, metric label, test assertion. */
  readonly key: string;
  readonly object: ObjectRef;
  /** Path of the field at fault, e.g. `spec.backends[1].service`; empty when it is the whole object. */
  readonly field: string;
  /** One sentence: what is wrong. No count or time that changes by itself: other words are another problem to tell. */
  readonly message: string;
  /** One sentence: what to do. */
  readonly remedy: string;
}

/** The reference of an object that has a namespace. */
export function refOf(kind: ProblemKind, object: { readonly namespace: string; readonly name: string }): ObjectRef {
  return { kind, namespace: object.namespace, name: object.name };
}

/** Sorted, so that the list never depends on the order of the input, and each once: a split meets a fault at every port. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  const byIdentity = new Map(problems.map((problem) => [identityOf(problem), problem]));
  return [...byIdentity].sort(([a], [b]) => compareText(a, b)).map(([, problem]) => problem);
}

/** Equal for two problems that say the same of the same object. */
export function identityOf({ object, field, key, message }: Problem): string {
  return [object.kind, object.namespace, object.name, field, key, message].join('\u0000');
}
