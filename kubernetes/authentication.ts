/**
 * Whether the API server still knows us. A pod's token dies with the ServiceAccount that it is of, also when another of
 * the same name is made at once; watches that are open live on for minutes, while every new call gets 401.
 */

/** Longer than credentials are kept (connection.ts): what a newly read token mends is not told. */
const lastingMs = 30_000;

export interface Authentication {
  /** Called with the status of each answer. */
  note(status: number): void;
  /** A sentence for readiness once all answers over more than 30 s were 401; undefined otherwise. */
  readonly refusal: string | undefined;
}

/** `now` in milliseconds, of any clock that never goes back. */
export function createAuthentication(now: () => number): Authentication {
  let firstAt: number | undefined;
  let lastAt = 0;
  return {
    note(status) {
      if (status !== 401) {
        firstAt = undefined;
        return;
      }
      lastAt = now();
      firstAt ??= lastAt;
    },
    get refusal() {
      // From answer to answer, not until now: one 401 and then nothing to ask is no proof that it lasts.
      if (firstAt === undefined || lastAt - firstAt <= lastingMs) return undefined;
      return `the API server has refused this pod's token (401) for more than ${lastingMs / 1000} s: its ServiceAccount was deleted or made again; delete the pod`;
    },
  };
}
