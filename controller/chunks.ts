import { setImmediate } from 'node:timers/promises';

/** Work on many sidecars, in slices of a few milliseconds, so that health checks and other streams are served between. */
export async function inChunks<T>(items: Iterable<T>, work: (item: T) => void, sliceMs = 8): Promise<void> {
  let started = performance.now();
  for (const item of items) {
    work(item);
    if (performance.now() - started < sliceMs) continue;
    await setImmediate();
    started = performance.now();
  }
}
