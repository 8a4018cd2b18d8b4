/** So many a second and no more, however many are asked for: what a stranger can make us do has a bound. */
export interface Budget {
  /** True when one more is within it. */
  take(): boolean;
}

/** `now` in milliseconds. As many as a second's may be taken at once. */
export function createBudget(perSecond: number, now: () => number): Budget {
  let left = perSecond;
  let at = now();
  return {
    take() {
      const time = now();
      // A clock that was set back gives nothing, and takes nothing.
      left = Math.min(perSecond, left + (Math.max(0, time - at) * perSecond) / 1000);
      at = time;
      if (left < 1) return false;
      left -= 1;
      return true;
    },
  };
}
