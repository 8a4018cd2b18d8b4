/**
 * Which roots certificates lead to that this replica has handed out. One that is replaced counts until the sidecars have
 * acknowledged their new ones: until then they show the former.
 */
import { mergeTrust, noTrust, sameTrust, type Trust } from '#certificates/trust.ts';

export interface Needed {
  /** `inUse`: what the newest certificates lead to, and the signer's roots. `allHold`: every sidecar has acknowledged all it was given. */
  look(inUse: Trust, allHold: boolean): void;
  readonly roots: Trust;
  /** True while a sidecar may still show a certificate that was replaced. */
  readonly isWaiting: boolean;
}

export interface NeededOptions {
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Milliseconds of a clock that only time moves. */
  readonly elapsed: () => number;
  /** A sidecar that never acknowledges keeps a root no longer than this. */
  readonly longestMs: number;
}

export function createNeeded({ now, elapsed, longestMs }: NeededOptions): Needed {
  let newest: Trust = noTrust;
  let changedAt = 0;
  let roots: Trust = noTrust;
  return {
    look(inUse, allHold) {
      if (!sameTrust(inUse, newest)) changedAt = elapsed();
      newest = inUse;
      const over = allHold || elapsed() - changedAt >= longestMs;
      roots = over ? mergeTrust([inUse], now()) : mergeTrust([roots, inUse], now());
    },
    get roots() {
      return roots;
    },
    get isWaiting() {
      return !sameTrust(roots, newest);
    },
  };
}
