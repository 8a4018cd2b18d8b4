/** Time as an argument. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. */
  now(): number;
  /** Calls back about every `ms` milliseconds, until the returned function is called. */
  every(ms: number, callback: () => void): () => void;
}

export const systemClock: Clock = {
  now: Date.now,
  every(ms, callback) {
    const timer = setInterval(callback, ms);
    timer.unref(); // renewing certificates is no reason for a process to live on
    return () => clearInterval(timer);
  },
};
