import type { Clock } from '#certificates/clock.ts';

/** A clock that the test turns; callbacks run when it says so. */
export interface TestClock extends Clock {
  /** Wall-clock time passes, forwards or backwards, and everybody who asked to be called is called once. */
  pass(ms: number): void;
  readonly callers: number;
}

export function createTestClock(start: number): TestClock {
  const callbacks = new Set<() => void>();
  let now = start;
  return {
    now: () => now,
    every(_ms, callback) {
      callbacks.add(callback);
      return () => void callbacks.delete(callback);
    },
    pass(ms) {
      now += ms;
      for (const callback of [...callbacks]) callback();
    },
    get callers() {
      return callbacks.size;
    },
  };
}

/** Lets everything that is ready to run, run; no time passes. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
}
