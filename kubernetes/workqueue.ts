/**
 * Work by key. A key that is added while it waits is not queued twice; one that is added while it is being worked on is
 * worked on once more afterwards; a key whose work fails comes back, later each time.
 */
import { backoffMs } from './backoff.ts';

export interface WorkQueueOptions {
  /**
   * Does the work of a key from the state as it is then. A number asks for another turn in that many milliseconds. A
   * throw is a failure. `signal` aborts when the queue is stopped.
   */
  readonly handle: (key: string, signal: AbortSignal) => Promise<number | void>;
  /** Keys worked on at once; 1 by default. */
  readonly concurrency?: number;
  /** Waits after failures of a key, in milliseconds; 5 and 300,000 by default. */
  readonly firstWaitMs?: number;
  readonly longestWaitMs?: number;
  /** In [0, 1). */
  readonly random?: () => number;
  /** `failures` in a row, this one included; `retryInMs` until its next turn. */
  readonly onFailure?: (failure: { key: string; error: unknown; failures: number; retryInMs: number }) => void;
}

export interface WorkQueue {
  /** As soon as possible; a wait after a failure is cut short, since something changed. */
  add(key: string): void;
  /** Not before `ms` milliseconds. The earlier of two turns of a key counts. */
  addAfter(key: string, ms: number): void;
  /** Keys that wait for a free hand (not those that wait for their time). */
  readonly depth: number;
  /** Takes nothing new; resolves when the work under way has ended. */
  stop(): Promise<void>;
}

export function createWorkQueue(options: WorkQueueOptions): WorkQueue {
  const { handle, concurrency = 1, firstWaitMs = 5, longestWaitMs = 300_000, random = Math.random } = options;
  const backoff = { firstMs: firstWaitMs, longestMs: longestWaitMs, random };
  const stopping = new AbortController();
  /** In order of arrival. */
  const waiting = new Set<string>();
  /** Being worked on; true when it was added again meanwhile. */
  const working = new Map<string, boolean>();
  const timers = new Map<string, { timer: NodeJS.Timeout; dueAt: number }>();
  const failures = new Map<string, number>();
  let { promise: idle, resolve: setIdle } = Promise.withResolvers<void>();
  setIdle();

  function add(key: string): void {
    if (stopping.signal.aborted) return;
    cancelTimer(key);
    if (working.has(key)) working.set(key, true);
    else waiting.add(key);
    drain();
  }

  function addAfter(key: string, ms: number): void {
    if (stopping.signal.aborted) return;
    const dueAt = performance.now() + ms;
    const known = timers.get(key);
    if (waiting.has(key) || (known !== undefined && known.dueAt <= dueAt)) return;
    cancelTimer(key);
    timers.set(key, { dueAt, timer: setTimeout(() => add(key), ms) });
  }

  function cancelTimer(key: string): void {
    clearTimeout(timers.get(key)?.timer);
    timers.delete(key);
  }

  function drain(): void {
    for (const key of waiting) {
      if (working.size >= concurrency) return;
      waiting.delete(key);
      if (working.size === 0) ({ promise: idle, resolve: setIdle } = Promise.withResolvers<void>());
      working.set(key, false);
      void work(key);
    }
  }

  async function work(key: string): Promise<void> {
    let againInMs: number | void = undefined;
    try {
      againInMs = await handle(key, stopping.signal);
      failures.delete(key); // also what frees its memory
    } catch (error) {
      const count = (failures.get(key) ?? 0) + 1;
      failures.set(key, count);
      againInMs = backoffMs(count, backoff);
      if (!stopping.signal.aborted) options.onFailure?.({ key, error, failures: count, retryInMs: againInMs });
    }
    const addedMeanwhile = working.get(key) === true;
    working.delete(key);
    if (!stopping.signal.aborted) {
      if (addedMeanwhile) waiting.add(key);
      else if (typeof againInMs === 'number') addAfter(key, againInMs);
      drain();
    }
    if (working.size === 0) setIdle();
  }

  return {
    add,
    addAfter,
    get depth() {
      return waiting.size;
    },
    stop() {
      stopping.abort();
      for (const { timer } of timers.values()) clearTimeout(timer);
      timers.clear();
      waiting.clear();
      return idle;
    },
  };
}
