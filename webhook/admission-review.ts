/** AdmissionReview v1, as the API server posts it and as it wants its answer. */

export interface AdmissionRequest {
  /** Echoed in the answer, also in one that refuses. */
  readonly uid: string;
  readonly kind: string;
  readonly namespace: string;
  readonly operation: string;
  readonly object: Readonly<Record<string, unknown>>;
}

export type Decoded =
  | { readonly ok: true; readonly request: AdmissionRequest }
  /** `uid` is empty when not even that could be read. */
  | { readonly ok: false; readonly uid: string; readonly message: string };

export interface Verdict {
  readonly allowed: boolean;
  /** HTTP-like code and sentence; said to the user when not allowed. */
  readonly code?: number;
  readonly message?: string;
  readonly warnings?: readonly string[];
  /** RFC 6902 operations. */
  readonly patch?: readonly unknown[];
}

/** Never throws: what cannot be read is answered like any other refusal. */
export function decodeReview(body: string): Decoded {
  if (body.trim() === '') return { ok: false, uid: '', message: 'the request has no body' };
  let review: unknown;
  try {
    review = JSON.parse(body);
  } catch (error) {
    return {
      ok: false,
      uid: '',
      message: `the body is not JSON: ${error instanceof Error ? error.message : 'unreadable'}`,
    };
  }
  const request = isRecord(review) ? review['request'] : undefined;
  if (!isRecord(review) || !isRecord(request))
    return { ok: false, uid: '', message: 'the body is not an AdmissionReview with a request' };
  const uid = text(request['uid']);
  if (uid === '') return { ok: false, uid, message: 'the AdmissionReview has no request.uid' };
  if (review['apiVersion'] !== 'admission.k8s.io/v1') {
    return { ok: false, uid, message: 'apiVersion is not admission.k8s.io/v1' };
  }
  const { object, kind } = request;
  if (!isRecord(object)) return { ok: false, uid, message: 'the AdmissionReview has no request.object' };
  return {
    ok: true,
    request: {
      uid,
      kind: isRecord(kind) ? text(kind['kind']) : '',
      namespace: text(request['namespace']),
      operation: text(request['operation']),
      object,
    },
  };
}

export function encodeReview(uid: string, verdict: Verdict): object {
  const { allowed, code, message, warnings, patch } = verdict;
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: {
      uid,
      allowed,
      ...(warnings && warnings.length > 0 && { warnings }),
      ...(!allowed && { status: statusOf(code ?? 403, message ?? 'refused') }),
      ...(patch &&
        patch.length > 0 && {
          patchType: 'JSONPatch',
          patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
        }),
    },
  };
}

/** kubectl shows the reason in brackets, and programs go by it: "try again" must not look like "never". */
function statusOf(code: number, message: string): object {
  return { code, message, reason: statusReasons.get(code) ?? 'Forbidden' };
}

const statusReasons: ReadonlyMap<number, string> = new Map([
  [400, 'BadRequest'],
  [404, 'NotFound'],
  [422, 'Invalid'],
  [500, 'InternalError'],
  [503, 'ServiceUnavailable'],
]);

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
