/** When a certificate is due: decided by the wall clock, for that is what peers judge it by. */
export interface Renewal {
  /** Milliseconds since 1970 at which the certificate was received. */
  readonly issuedAt: number;
  readonly notBefore: number;
  readonly notAfter: number;
  /** In [0, 1): fixed when the certificate is received, so that those of one start-up do not all fall due at once. */
  readonly spread: number;
}

/** Share of its life after which a certificate is renewed at the latest, and how much earlier it may be. */
const latest = 2 / 3;
const jitter = 0.1;

/** Milliseconds since 1970 at which it falls due: between 56.7 % and 66.7 % of its life. */
export function dueAt({ issuedAt, notAfter, spread }: Renewal): number {
  return issuedAt + Math.max(0, notAfter - issuedAt) * (latest - jitter * spread);
}

/**
 * True when it must be renewed: it is due, or the clock was set back so far that it is not valid yet, which no peer
 * with a right clock would notice, but we cannot tell whose clock is right.
 */
export function isDue(renewal: Renewal, now: number): boolean {
  return now >= dueAt(renewal) || now < renewal.notBefore;
}
