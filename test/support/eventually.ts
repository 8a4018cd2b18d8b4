/** Waiting without sleeping blindly: a condition is asked again until it holds, and the failure shows what was seen last. */
import { setTimeout as pause } from 'node:timers/promises';

export interface EventuallyOptions {
  /** Milliseconds; 60,000 by default. */
  readonly deadlineMs?: number;
  /** Milliseconds between two looks; 250 by default. */
  readonly everyMs?: number;
  /** Asked once, when the deadline has passed: what else the failure should show. */
  readonly state?: () => Promise<string>;
}

/**
 * Calls `look` until it returns something other than undefined or false, and returns that.
 * A throw counts as "not yet"; the last one, or the last state, stands in the error.
 */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  options: EventuallyOptions = {},
): Promise<T> {
  const deadlineMs = options.deadlineMs ?? 60_000;
  const deadline = Date.now() + deadlineMs;
  let last = 'it was never seen';
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== false) return seen;
      last = 'the condition did not hold';
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() > deadline) {
      const state = options.state === undefined ? '' : `\n${await options.state().catch(String)}`;
      throw new Error(`${what}: not within ${deadlineMs / 1000} s; last: ${last}${state}`);
    }
    await pause(options.everyMs ?? 250);
  }
}
