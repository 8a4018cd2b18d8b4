import { setTimeout as delay } from 'node:timers/promises';

const INTERVAL_MS = 150;

/**
 * Waits until `done` gives true, asking again and again, and gives up after `deadlineMs`.
 * `guard` runs before each attempt and ends the wait by throwing, for what waiting will not mend. The error that ends the
 * wait holds what `state` tells.
 */
export async function waitFor(
  what: string,
  deadlineMs: number,
  done: () => Promise<boolean>,
  more: { readonly guard?: () => void; readonly state?: () => Promise<string> } = {},
): Promise<void> {
  const deadline = Date.now() + deadlineMs;
  for (;;) {
    more.guard?.();
    if (await done()) return;
    if (Date.now() > deadline) {
      const state = more.state === undefined ? '' : `:\n${await more.state()}`;
      throw new Error(`${what}: not within ${deadlineMs / 1000} s${state}`);
    }
    await delay(INTERVAL_MS);
  }
}
