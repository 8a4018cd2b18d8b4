/** PURE: what this replica says of itself to the others and to the operator. */
import type { ReplicaReport } from '#certificates/replica-report.ts';
import { printsOf, type Trust } from '#certificates/trust.ts';
import type { Sidecars } from './spread.ts';

export interface OwnState {
  readonly given: Trust;
  readonly acknowledged: Trust;
  readonly needed: Trust;
  readonly sidecars: Sidecars;
  /** UID of the MeshRootCertificate that signs; undefined for the built-in authority, and before any. */
  readonly signer: string | undefined;
  /** Fingerprint of the root that new certificates lead to. */
  readonly signing: string | undefined;
}

const MOST_NAMED = 3;

export function reportOf({ given, acknowledged, needed, sidecars, signer, signing }: OwnState): ReplicaReport {
  const [hold, need] = [printsOf(acknowledged), printsOf(needed)];
  return {
    given: all(printsOf(given)),
    acknowledged: all(hold),
    signing: signing ?? '',
    needed: all(need),
    signer: signer ?? '',
    trustDomains: Object.fromEntries(
      [...new Set([...hold.keys(), ...need.keys()])].map((domain) => [
        domain,
        { acknowledged: hold.get(domain) ?? [], needed: need.get(domain) ?? [] },
      ]),
    ),
    sidecars: sidecars.connected,
    behind: sidecars.behind.length,
    behindNamed: sidecars.behind.toSorted().slice(0, MOST_NAMED),
  };
}

/** A root may stand under two trust domains. */
function all(prints: ReadonlyMap<string, readonly string[]>): string[] {
  return [...new Set([...prints.values()].flat())];
}
