export interface BackoffOptions {
  readonly firstMs: number;
  readonly longestMs: number;
  /** In [0, 1): spreads clients that failed together, or they come back together. */
  readonly random: () => number;
}

/**
 * Milliseconds to wait after the `failures`-th failure in a row (1 is the first): doubles up to `longestMs`, and is
 * drawn from the upper half of that, so that it is never 0 and never longer than said.
 */
export function backoffMs(failures: number, { firstMs, longestMs, random }: BackoffOptions): number {
  const ceiling = Math.min(longestMs, firstMs * 2 ** Math.min(Math.max(failures - 1, 0), 30));
  return (ceiling * (1 + random())) / 2;
}
