/**
 * Parts that many sidecars share, held once by the hash of their content. The table outlives a revision of the mesh: a part
 * that comes out equal after a change is the same object as before, so whoever keyed work on it does nothing again.
 * It is a cache only: what it returns equals what was put in, and forgetting an entry costs time, never correctness.
 */
import { hash } from 'node:crypto';

/** Revisions that an unused part survives; more than one, as several changes may pass before a view is asked for again. */
const KEPT_REVISIONS = 4;

/** Twenty hex digits of SHA-256 over the parts, which are separated so that no two lists of texts run together. */
export function digest(...content: readonly string[]): string {
  return hash('sha256', content.join('\u0000'), 'hex').slice(0, 20);
}

const digests = new WeakMap<object, string>();

/** The digest of an object that many keys speak of, such as a mesh's settings: found once. */
export function digestOf(value: object): string {
  const known = digests.get(value);
  if (known !== undefined) return known;
  const made = digest(JSON.stringify(value));
  digests.set(value, made);
  return made;
}

export interface Keyed {
  readonly key: string;
}

export class PartTable {
  readonly #parts = new Map<string, { readonly part: Keyed; usedAt: number }>();
  #revision = 0;

  /** The part that has this key; `make` is called only when there is none yet. The key must cover the whole content. */
  intern<T extends Keyed>(key: string, make: () => T): T {
    const entry = this.#parts.get(key);
    if (entry !== undefined) {
      entry.usedAt = this.#revision;
      return entry.part as T; // the key starts with the kind of part, so an equal key is an equal type
    }
    const part = make();
    this.#parts.set(key, { part, usedAt: this.#revision });
    return part;
  }

  /** To be called once a compile: forgets what no view has asked for in a while. */
  nextRevision(): void {
    this.#revision += 1;
    for (const [key, entry] of this.#parts) {
      if (entry.usedAt < this.#revision - KEPT_REVISIONS) this.#parts.delete(key);
    }
  }

  get size(): number {
    return this.#parts.size;
  }
}
