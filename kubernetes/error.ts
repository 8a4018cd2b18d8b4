import type { KubernetesErrorShape } from './types.ts';

/**
 * Reasons that the client itself gives, where no server answered or its answer was cut short (`status` 0). `Timeout`: no
 * answer came; `Silent`: a watch was answered and then brought nothing for long, which may be all that there was to bring.
 */
export type TransportReason = 'Unreachable' | 'Timeout' | 'Silent' | 'Cut' | 'Unreadable' | 'Aborted';

/** An answer of 400 or more, or none at all. The message names the call and holds the server's own words. */
export class KubernetesError extends Error implements KubernetesErrorShape {
  readonly status: number;
  readonly reason: string;
  readonly retryAfter: number | undefined;
  /** The server's own words, without the call; the whole message where it said none. */
  readonly words: string;

  constructor(shape: KubernetesErrorShape, message: string, options?: ErrorOptions & { readonly words?: string }) {
    super(message, options);
    this.words = options?.words ?? message;
    this.name = 'KubernetesError';
    this.status = shape.status;
    this.reason = shape.reason;
    this.retryAfter = shape.retryAfter;
  }
}

/** A failure of the connection, seen while making `call` (e.g. `GET /api/v1/pods`). */
export function transportError(reason: TransportReason, call: string, cause: unknown): KubernetesError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new KubernetesError({ status: 0, reason, retryAfter: undefined }, `${call}: ${words}`, { cause });
}

/** The error that an answer of 400 or more stands for. `body` is a `Status` object, or whatever a proxy said instead. */
export function answerError(call: string, status: number, body: string, retryAfter?: string): KubernetesError {
  const said = readStatus(body);
  const seconds = Number(retryAfter);
  return new KubernetesError(
    {
      status,
      reason: said.reason ?? `Http${status}`,
      retryAfter: retryAfter !== undefined && Number.isFinite(seconds) ? seconds : undefined,
    },
    `${call}: ${status} ${said.message ?? body.slice(0, 300)}`.trimEnd(),
    said.message === undefined ? {} : { words: said.message },
  );
}

/** The error inside a watch's ERROR event, whose object is a `Status`. */
export function statusError(
  call: string,
  status: { code?: number; reason?: string; message?: string },
): KubernetesError {
  const code = status.code ?? 500;
  return new KubernetesError(
    { status: code, reason: status.reason ?? `Http${code}`, retryAfter: undefined },
    `${call}: ${code} ${status.message ?? ''}`.trimEnd(),
  );
}

/** True when `error` is the server's answer with this status code. */
export function isStatus(error: unknown, status: number): error is KubernetesError {
  return error instanceof KubernetesError && error.status === status;
}

/** True when the object to create is there already: another process was first. */
export function isAlreadyExists(error: unknown): error is KubernetesError {
  return isStatus(error, 409) && error.reason === 'AlreadyExists';
}

/** True when the optimistic lock was lost: somebody changed the object since it was read. */
export function isConflict(error: unknown): error is KubernetesError {
  return isStatus(error, 409) && error.reason === 'Conflict';
}

/** True when the resource version asked for is no longer kept: only a new list helps. */
export function isExpired(error: unknown): error is KubernetesError {
  return isStatus(error, 410);
}

function readStatus(body: string): { reason?: string; message?: string } {
  try {
    const parsed: unknown = JSON.parse(body);
    if (typeof parsed !== 'object' || parsed === null) return {};
    const { reason, message } = parsed as { reason?: unknown; message?: unknown };
    return {
      ...(typeof reason === 'string' && reason !== '' ? { reason } : {}),
      ...(typeof message === 'string' ? { message } : {}),
    };
  } catch {
    return {}; // a proxy's HTML, say: the caller shows the text itself
  }
}
