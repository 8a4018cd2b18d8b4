/** Which connected sidecars have the roots that they are given. */
import type { Trust } from '#certificates/trust.ts';
import { SECRET } from '#xds/cache/types.ts';
import type { ProxyStream } from '#xds/server/stream.ts';
import { translateRoots } from '#xds/translate/translate.ts';
import type { Sidecars } from './spread.ts';

/** One that has just connected is given its roots before all else, and acknowledges them in no time: a mesh where pods come and go must not wait for it. */
const JUST_CONNECTED_MS = 2_000;

/** `now` in milliseconds since 1970. */
export function sidecarsOf(streams: readonly ProxyStream[], given: Trust, now: number): Sidecars {
  const [roots] = translateRoots(Object.fromEntries(given));
  const isBehind = (stream: ProxyStream): boolean => {
    if (now - stream.openedAt < JUST_CONNECTED_MS) return false;
    // Who has refused these roots has answered, and keeps the former ones.
    const held = roots && stream.held(SECRET, roots.name);
    return !stream.settled([SECRET]) || (held !== undefined && held.hash !== roots?.hash);
  };
  const behind = streams.filter(isBehind).map(({ proxy }) => `${proxy.namespace}/${proxy.pod}`);
  return { connected: streams.length, behind };
}
