/** What changed since the last revision, and so how much of the mesh has to be looked at. */

/** A change of something that a compile reads. `service` (`<namespace>/<name>`) is set when it is a slice of that service. */
export interface Change {
  readonly kind: string;
  readonly service?: string;
}

export type Work =
  /** The objects have to be compiled anew. */
  | { readonly kind: 'revise' }
  /** Endpoints of these services changed, and nothing else did. */
  | { readonly kind: 'endpoints'; readonly services: ReadonlySet<string> };

export interface Pending {
  note(change: Change): void;
  /** What has come together, which is then forgotten; call it when the work starts, so that nothing is lost while it runs. */
  take(): Work;
}

export function createPending(): Pending {
  // Before the first compile there is nothing that a short path could start from.
  let revise = true;
  let services = new Set<string>();
  return {
    note({ service }) {
      if (service === undefined) revise = true;
      else services.add(service);
    },
    take() {
      const work: Work = revise ? { kind: 'revise' } : { kind: 'endpoints', services };
      revise = false;
      services = new Set();
      return work;
    },
  };
}
