/**
 * Server-side apply, only when needed. The server normalises what it stores (quantities, defaults, order), so a desired
 * object is never compared with a stored one: remembered is what the server made of it the last time, and a write
 * happens when either the desired object or the stored one is no longer that. After a start nothing is remembered, and
 * each object is applied once; the server stores nothing where nothing differs.
 */
import { createHash } from 'node:crypto';
import type { Manifest } from '#cdk8s/manifest.ts';
import { KubernetesError } from '#kubernetes/error.ts';
import type { KubernetesClient } from '#kubernetes/types.ts';
import { kindNamed } from './own-kinds.ts';
import type { OwnWrites } from './own-writes.ts';
import { type ManagedObject, refOf } from './plan/observed.ts';

export const fieldManager = 'osm-operator';

interface Applied {
  readonly desired: string;
  readonly stored: string;
}

/** The server will not have an object, whatever is done again: what is wrong in it came from the MeshConfig. */
export class RejectedObject extends Error {
  readonly object: string;

  constructor(object: string, cause: KubernetesError) {
    super(cause.words, { cause });
    this.name = 'RejectedObject';
    this.object = object;
  }
}

export interface Applier {
  /** Asks whether the server would take an object that differs from the stored one. Throws as `apply` does. */
  check(object: Manifest, stored: ManagedObject | undefined): Promise<void>;
  /** True when the server stored something new. `stored` is the object as it stands. Throws a RejectedObject or a KubernetesError. */
  apply(object: Manifest, stored: ManagedObject | undefined): Promise<boolean>;
  /** Number of calls that were made, those that changed nothing included. */
  readonly calls: number;
}

export function createApplier(client: KubernetesClient, writes: OwnWrites, now: () => number): Applier {
  const memory = new Map<string, Applied>();
  let calls = 0;

  function isKnown(object: Manifest, stored: ManagedObject | undefined): boolean {
    const known = memory.get(refOf(object));
    return known?.desired === hash(object) && stored !== undefined && known.stored === fingerprint(stored);
  }

  async function send(object: Manifest, dryRun: boolean): Promise<ManagedObject> {
    try {
      return await client.apply<ManagedObject>(kindNamed(object.kind), object as ManagedObject, {
        fieldManager,
        force: true,
        dryRun,
      });
    } catch (error) {
      const invalid = error instanceof KubernetesError && (error.status === 422 || error.status === 400);
      throw invalid ? new RejectedObject(refOf(object), error) : error;
    }
  }

  return {
    get calls() {
      return calls;
    },
    async check(object, stored) {
      if (!isKnown(object, stored)) await send(object, true);
    },
    async apply(object, stored) {
      if (isKnown(object, stored)) return false;
      calls += 1;
      const written = await send(object, false);
      memory.set(refOf(object), { desired: hash(object), stored: fingerprint(written) });
      return writes.note(stored, written, now());
    },
  };
}

/** A hash of what of an object can drift: not its status, nor what the server or the Deployment controller counts in it. */
export function fingerprint(object: ManagedObject): string {
  const { status: _status, metadata, ...content } = object;
  const annotations = Object.entries(metadata.annotations ?? {}).filter(
    ([key]) =>
      !key.startsWith('deployment.kubernetes.io/') && key !== 'kubectl.kubernetes.io/last-applied-configuration',
  );
  const { labels = {}, ownerReferences = [] } = metadata;
  return hash({ ...content, labels, annotations: Object.fromEntries(annotations), ownerReferences });
}

/** SHA-256 of the JSON with sorted keys. */
function hash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, sortKeys)).digest('hex');
}

function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
}
