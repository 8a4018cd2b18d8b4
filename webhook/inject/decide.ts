/** Should this pod get a sidecar? */
import { meaningOf } from '#crds/on-off.ts';
import { EXEMPTIONS, type MeshIdentity, SOURCES, type Source } from './conditions.ts';
import { SIDECAR_INJECTION } from './names.ts';
import type { Namespace, Pod } from './pod.ts';
import { type Decision, type Refusal, refuse } from './reasons.ts';
import { refusalOf } from './refusals.ts';
import { restore } from './restore.ts';

/**
 * Pure. A pod that carries our sidecar already is decided as its user wrote it.
 *
 * @param namespace the pod's, as the API server holds it.
 */
export function decide(pod: Pod, namespace: Namespace, mesh: MeshIdentity): Decision {
  const wish = wishOf(pod, namespace, mesh);
  return wish.kind === 'inject' ? (refusalOf(restore(pod), namespace) ?? wish) : wish;
}

/** Who asked for the sidecar, or why there is none: the part of the decision that the guard policy repeats in CEL. */
export function wishOf(pod: Pod, namespace: Namespace, mesh: MeshIdentity): Decision {
  for (const { reason, message, holds } of EXEMPTIONS) {
    if (holds(pod, namespace, mesh)) return { kind: 'skip', reason, message };
  }
  const wrong = unreadable(pod, namespace) ?? contradiction(pod, namespace);
  if (wrong) return wrong;
  const source = SOURCES.find((one) => meaningOf(one.value(pod, namespace)) !== 'unset');
  if (source === undefined) {
    return {
      kind: 'skip',
      reason: 'not-requested',
      message: `neither the pod nor its namespace has the annotation or label ${SIDECAR_INJECTION}`,
    };
  }
  const said = `${source.where} ${SIDECAR_INJECTION} of the ${source.owner}`;
  return meaningOf(source.value(pod, namespace)) === 'on'
    ? { kind: 'inject', reason: source.reason, message: `${said} asks for it` }
    : { kind: 'skip', reason: 'disabled', message: `${said} declines it` };
}

function unreadable(pod: Pod, namespace: Namespace): Refusal | undefined {
  const source = SOURCES.find((one) => meaningOf(one.value(pod, namespace)) === 'unreadable');
  if (source === undefined) return undefined;
  const value = source.value(pod, namespace)?.slice(0, 64);
  return refuse(
    'invalid-injection-value',
    `${source.where} ${SIDECAR_INJECTION} of the ${source.owner} must be enabled, yes, true, disabled, no or false, not "${value}"`,
  );
}

function contradiction(pod: Pod, namespace: Namespace): Refusal | undefined {
  for (const owner of ['pod', 'namespace'] as const) {
    const said = (one: Source) => meaningOf(one.value(pod, namespace));
    const meanings = new Set(SOURCES.filter((one) => one.owner === owner).map(said));
    if (meanings.has('on') && meanings.has('off')) {
      return refuse(
        'contradictory-injection-values',
        `annotation and label ${SIDECAR_INJECTION} of the ${owner} contradict each other; remove one`,
      );
    }
  }
  return undefined;
}
