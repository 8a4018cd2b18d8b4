/** Many changes, one piece of work: what arrives while it runs makes it run once more, never twice. */

export interface Coalescer {
  /** Asks for a run; any number of calls before it starts are one. */
  trigger(reason: string): void;
  stop(): void;
}

export interface CoalescerOptions {
  /** Gets the distinct reasons since the last run. A throw is reported, and the next trigger runs again. */
  readonly run: (reasons: ReadonlySet<string>) => Promise<void>;
  readonly onError: (error: unknown) => void;
  /**
   * Milliseconds that the first trigger waits for its like: a rollout changes pods, slices and services within
   * milliseconds of each other. Short, for it is part of every change's way to the sidecars.
   */
  readonly windowMs: number;
}

export function createCoalescer({ run, onError, windowMs }: CoalescerOptions): Coalescer {
  let reasons = new Set<string>();
  let timer: NodeJS.Timeout | undefined;
  let running = false;
  let stopped = false;

  function schedule(): void {
    if (timer !== undefined || running || stopped || reasons.size === 0) return;
    timer = setTimeout(() => {
      timer = undefined;
      running = true;
      const batch = reasons;
      reasons = new Set();
      run(batch)
        .catch(onError)
        .finally(() => {
          running = false;
          schedule();
        });
    }, windowMs);
  }

  return {
    trigger(reason) {
      reasons.add(reason);
      schedule();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
