/**
 * Read your own writes: a store hears of a write only when the watch brings it, and a pass that came sooner would do the
 * same again. What the server answered to a write stands in for the stored object until the store moves on.
 */
import { type ManagedObject, refOf } from './plan/observed.ts';

/** A store that has not moved after this did not miss a beat: the object went back to what it was. */
const patienceMs = 5_000;

interface Write {
  /** `resourceVersion` that the store showed before the write; undefined: no such object. */
  readonly before: string | undefined;
  readonly written: ManagedObject;
  readonly at: number;
}

export class OwnWrites {
  readonly #writes = new Map<string, Write>();

  /** Notes what the server answered. `now` in milliseconds. True when the write changed something. */
  note(stored: ManagedObject | undefined, written: ManagedObject, now: number): boolean {
    const before = stored?.metadata.resourceVersion;
    if (before === written.metadata.resourceVersion) return false;
    this.#writes.set(refOf(written), { before, written, at: now });
    return true;
  }

  /** The newer of the stored object and our own write of it. */
  newest(ref: string, stored: ManagedObject | undefined, now: number): ManagedObject | undefined {
    const write = this.#writes.get(ref);
    if (write === undefined) return stored;
    if (stored?.metadata.resourceVersion === write.before && now - write.at < patienceMs) return write.written;
    this.#writes.delete(ref);
    return stored;
  }

  /** The stored objects, each as new as we know it, and those of ours that the store does not show yet. */
  overlay(stored: Iterable<ManagedObject>, now: number): ManagedObject[] {
    const objects = new Map<string, ManagedObject | undefined>();
    for (const object of stored) objects.set(refOf(object), object);
    for (const ref of this.#writes.keys()) objects.set(ref, objects.get(ref));
    return [...objects].map(([ref, object]) => this.newest(ref, object, now)).filter((object) => object !== undefined);
  }
}
