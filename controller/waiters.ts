/** Waiting for a condition that others make true, with a deadline. */

export interface Waiters {
  /** Resolves with true once `holds()`, asked now and at every `look`; with false after `ms`. */
  until(holds: () => boolean, ms: number): Promise<boolean>;
  /** Something changed that a condition may depend on. */
  look(): void;
}

export function createWaiters(): Waiters {
  const waiting = new Set<() => void>();
  return {
    until(holds, ms) {
      if (holds()) return Promise.resolve(true);
      return new Promise((resolve) => {
        const done = (result: boolean): void => {
          clearTimeout(timer);
          waiting.delete(look);
          resolve(result);
        };
        const look = (): void => {
          if (holds()) done(true);
        };
        const timer = setTimeout(done, ms, false);
        waiting.add(look);
      });
    },
    look() {
      for (const look of [...waiting]) look();
    },
  };
}
