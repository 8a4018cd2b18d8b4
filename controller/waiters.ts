/** Waiting for sidecars to acknowledge, with a deadline. */
import type { TypeUrl } from '#xds/cache/types.ts';

/** A stream, as far as waiting needs it. */
export interface Awaited {
  settled(types?: readonly TypeUrl[]): boolean;
}

export interface Waiters<S extends Awaited> {
  /** True once each of the streams has settled (all types, or those given) or is gone; false after `ms`. */
  until(streams: Iterable<S>, ms: number, types?: readonly TypeUrl[]): Promise<boolean>;
  /** A stream acknowledged something, or refused it. Costs the same however many others there are. */
  look(stream: S): void;
  gone(stream: S): void;
}

interface Waiter<S> {
  readonly missing: Set<S>;
  readonly types: readonly TypeUrl[] | undefined;
  readonly done: () => void;
}

export function createWaiters<S extends Awaited>(): Waiters<S> {
  const waiting = new Set<Waiter<S>>();

  function strike(stream: S, holds: (waiter: Waiter<S>) => boolean): void {
    for (const waiter of waiting) {
      if (!waiter.missing.has(stream) || !holds(waiter)) continue;
      waiter.missing.delete(stream);
      if (waiter.missing.size === 0) waiter.done();
    }
  }

  return {
    until(streams, ms, types) {
      const missing = new Set<S>();
      for (const stream of streams) if (!stream.settled(types)) missing.add(stream);
      if (missing.size === 0) return Promise.resolve(true);
      return new Promise((resolve) => {
        const end = (result: boolean): void => {
          clearTimeout(timer);
          waiting.delete(waiter);
          resolve(result);
        };
        const waiter: Waiter<S> = { missing, types, done: () => end(true) };
        const timer = setTimeout(end, ms, false);
        waiting.add(waiter);
      });
    },
    look: (stream) => strike(stream, ({ types }) => stream.settled(types)),
    gone: (stream) => strike(stream, () => true),
  };
}
