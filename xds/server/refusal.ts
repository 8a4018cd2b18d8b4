/** Why a stream is refused. Every reason has a stable key, and a sentence that holds no part of the token. */

/** `key` is the log field, the metric label and what tests assert. */
export interface Refusal {
  readonly key: RefusalKey;
  /** One sentence without any part of the token. */
  readonly message: string;
}

export type RefusalKey =
  | 'token-missing'
  | 'token-malformed'
  | 'token-algorithm'
  | 'token-signature'
  | 'token-issuer'
  | 'token-audience'
  | 'token-expired'
  | 'token-not-yet-valid'
  | 'token-not-a-pod'
  | 'node-id-malformed'
  | 'pod-mismatch'
  | 'pod-gone'
  | 'account-changed'
  | 'keys-unavailable'
  | 'review-limit';

export type Verified<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly refusal: Refusal };

export function refuse(key: RefusalKey, message: string): { ok: false; refusal: Refusal } {
  return { ok: false, refusal: { key, message } };
}
