/** Answers one request for a pod: which namespace, which settings, and then the pure functions of inject/. */
import type { AdmissionRequest, Verdict } from './admission-review.ts';
import { isRecord } from './admission-review.ts';
import { meaningOf } from '#crds/on-off.ts';
import { SOURCES } from './inject/conditions.ts';
import { decide } from './inject/decide.ts';
import { inject, warningsOf } from './inject/inject.ts';
import { patchOf } from './inject/patch.ts';
import type { Namespace, Pod } from './inject/pod.ts';
import { type MeshInjection, settingsFor } from './inject/settings.ts';

/** Where the injector finds what a decision is a function of. */
export interface MutationSources {
  /** Undefined while there is no valid MeshConfig. */
  readonly mesh: () => MeshInjection | undefined;
  /** Looks in the store, then asks the API server: a namespace may be younger than our watch. Undefined: there is none. Rejects when nobody can say. */
  readonly namespace: (name: string) => Promise<Namespace | undefined>;
}

/** A verdict with what the log and the metrics say of it. */
export interface Reviewed {
  readonly verdict: Verdict;
  readonly decision: 'inject' | 'skip' | 'refuse' | 'error' | 'allow';
  readonly reason: string;
}

export async function reviewPod(request: AdmissionRequest, sources: MutationSources): Promise<Reviewed> {
  const pod = request.object;
  if (!isPod(pod)) return failure('not-a-pod', 400, 'request.object is not a pod with metadata and containers');
  const mesh = sources.mesh();
  if (mesh === undefined) {
    return failure(
      'no-mesh-config',
      503,
      'the mesh cannot take pods yet: the injector has seen no valid MeshConfig; apply one named osm-mesh-config, or correct it as its status says',
    );
  }
  const namespace = await sources.namespace(request.namespace).catch((error: unknown) => asError(error));
  if (namespace instanceof Error) {
    return failure(
      'namespace-unreadable',
      503,
      `the injector cannot read namespace ${request.namespace} from the API server, and does not guess whether the pod is in the mesh; try again in a moment (${namespace.message})`,
    );
  }
  if (namespace === undefined) {
    return failure('namespace-not-found', 404, `namespace ${request.namespace} does not exist`);
  }
  const decision = decide(pod, namespace, mesh);
  const { kind, reason, message } = decision;
  switch (kind) {
    case 'skip':
      return { decision: kind, reason, verdict: { allowed: true, warnings: skipWarnings(pod, namespace, decision) } };
    case 'refuse':
      return { decision: kind, reason, verdict: { allowed: false, code: 403, message: `${message} (${reason})` } };
    case 'inject': {
      const settings = settingsFor(mesh, namespace);
      const patch = patchOf(pod, inject(pod, settings));
      return { decision: kind, reason, verdict: { allowed: true, warnings: warningsOf(pod, settings), patch } };
    }
  }
}

/** Somebody asked for the sidecar and does not get it, without a refusal: say so. */
function skipWarnings(
  pod: Pod,
  namespace: Namespace,
  { reason, message }: { reason: string; message: string },
): string[] {
  const asked = SOURCES.some((source) => meaningOf(source.value(pod, namespace)) === 'on');
  return asked && reason !== 'disabled' ? [`no sidecar was added: ${message} (${reason})`] : [];
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

export function failure(reason: string, code: number, message: string): Reviewed {
  return { decision: 'error', reason, verdict: { allowed: false, code, message: `${message} (${reason})` } };
}

function isPod(value: Readonly<Record<string, unknown>>): value is Readonly<Record<string, unknown>> & Pod {
  const { metadata, spec } = value;
  return (
    isRecord(metadata) && isRecord(spec) && Array.isArray(spec['containers']) && spec['containers'].every(isRecord)
  );
}
