import { setTimeout as delay } from 'node:timers/promises';

/** Waits `ms`, or less when `signal` aborts. Resolves in both cases: loops look at the signal themselves. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch {
    // aborted: the only way in which it rejects
  }
}
