/** What the server knows of one (stream, type). */
import type { Versioned } from '#xds/cache/diff.ts';
import type { TypeUrl } from '#xds/cache/types.ts';
import type { Resource } from '#xds/resource.ts';

export interface Subscription {
  readonly type: TypeUrl;
  /** False until the client's first request of this type. */
  readonly opened: boolean;
  /** Everything is asked for: by `*`, or by a first request that names nothing. */
  readonly wildcard: boolean;
  /** Names asked for beside the wildcard; without one, the asked names are the keys of `held`. */
  readonly explicit: ReadonlySet<string>;
  /**
   * What the client holds, or will when it accepts the response in flight. Often the snapshot's own map, which is what
   * keeps a thousand streams small. A name that was asked for and does not exist is held as `ABSENT`.
   */
  readonly held: ReadonlyMap<string, Versioned>;
  /** Names to answer even if nothing changed: just asked for, or owed to a cluster that is warming. */
  readonly due: ReadonlySet<string>;
  /**
   * Names sent, or due, before the client asked for them, since what it was just given needs them. A request for one that comes
   * before the acknowledgement shows that the client took it; one that comes later is answered again.
   */
  readonly offered: ReadonlySet<string>;
  readonly inFlight: InFlight | undefined;
  /** Name → version that this client refused: it is not sent again until it changes. */
  readonly refused: ReadonlyMap<string, string>;
  /** Resources of a refused response whose culprit is unknown: they are tried again one by one. */
  readonly suspects: ReadonlySet<string>;
  /**
   * Names that come sooner or later: their absence is never told. Envoy takes that word for the end of its waiting, and would open
   * its listeners, and call itself ready, without a certificate.
   */
  readonly promised: ReadonlySet<string>;
  /** The first wildcard request is answered even if there is nothing to say. */
  readonly greet: boolean;
}

export interface InFlight {
  readonly nonce: string;
  readonly resources: readonly Resource[];
  readonly removed: readonly string[];
  /** What was held before, to go back to on a refusal. */
  readonly before: readonly (readonly [name: string, version: Versioned | undefined])[];
}

/** A name that was asked for and does not exist, or was not sent yet. */
export const ABSENT: Versioned = { hash: '' };
const NO_NAMES: ReadonlySet<string> = new Set();
const NO_REFUSALS: ReadonlyMap<string, string> = new Map();

export function openSubscription(type: TypeUrl, promised: ReadonlySet<string> = NO_NAMES): Subscription {
  return {
    type,
    opened: false,
    wildcard: false,
    explicit: NO_NAMES,
    held: new Map(),
    due: NO_NAMES,
    offered: NO_NAMES,
    inFlight: undefined,
    refused: NO_REFUSALS,
    suspects: NO_NAMES,
    promised,
    greet: false,
  };
}
