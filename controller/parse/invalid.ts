import type { FieldError } from '#crds/parse.ts';
import type { KubeObject } from '#kubernetes/types.ts';
import { type Problem, type ProblemKind, refOf } from '#mesh/problem.ts';
import { metaOf } from './meta.ts';

/** One problem a field of an object that the parsers of `crds/` refuse. `meanwhile` says what holds until it is mended. */
export function invalid(
  kind: ProblemKind,
  object: KubeObject,
  errors: readonly FieldError[],
  meanwhile: string,
): Problem[] {
  const ref = refOf(kind, metaOf(object));
  return errors.map(({ field, message }) => ({
    key: 'object-invalid',
    object: ref,
    field,
    message: `${kind} ${ref.namespace}/${ref.name}: ${field || 'the object'} ${message}.`,
    remedy: `Correct the field; ${meanwhile}.`,
  }));
}
