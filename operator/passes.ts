/**
 * Runs passes one at a time: after each change of a store (many changes make one pass), when a pass asks for the next
 * one, and later each time after a failure. There is one mesh, so there is one thing to do and no queue of keys.
 */
import { backoffMs } from '#kubernetes/backoff.ts';
import type { Operator } from './operator.ts';
import type { Pass } from './reconcile.ts';

const backoff = { firstMs: 100, longestMs: 30_000, random: Math.random };

/** setTimeout's own limit is 2^31 - 1 ms. */
const longestTimer = 2 ** 31 - 1;

export interface PassesOptions {
  /** `milliseconds` is how long the pass took. */
  readonly onPass: (pass: Pass, milliseconds: number) => void;
  readonly onError: (error: unknown, milliseconds: number) => void;
}

export interface Passes {
  /** Resolves when no pass runs and none is due at once. */
  idle(): Promise<void>;
  /** Starts no more passes; resolves when the one under way has ended. */
  stop(): Promise<void>;
}

/** Starts with a pass at once. */
export function runPasses(operator: Pick<Operator, 'reconcile' | 'onStoreChange'>, options: PassesOptions): Passes {
  let due = false;
  let running: Promise<void> | undefined;
  let timer: NodeJS.Timeout | undefined;
  let failures = 0;
  let stopped = false;

  async function pass(): Promise<void> {
    const started = performance.now();
    let wait: number | undefined;
    try {
      const done = await operator.reconcile();
      failures = 0;
      wait = done.requeueAfter;
      options.onPass(done, performance.now() - started);
    } catch (error) {
      failures += 1;
      wait = backoffMs(failures, backoff);
      options.onError(error, performance.now() - started);
    }
    if (wait === 0) due = true;
    else if (wait !== undefined) timer = setTimeout(request, Math.min(wait, longestTimer));
  }

  async function drain(): Promise<void> {
    while (due && !stopped) {
      due = false;
      clearTimeout(timer);
      await pass();
    }
  }

  function request(): void {
    due = true;
    if (stopped || running !== undefined) return;
    running = drain().finally(() => {
      running = undefined;
      if (due) request(); // it came after the last look
    });
  }

  const unsubscribe = operator.onStoreChange(request);
  request();
  return {
    async idle() {
      while (running !== undefined) await running;
    },
    async stop() {
      stopped = true;
      unsubscribe();
      await running;
      clearTimeout(timer);
    },
  };
}
