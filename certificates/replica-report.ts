/**
 * What one replica of the controller says of the roots that its sidecars have: in an annotation of a Lease of its own, so that
 * it is known whether it is still true. Controllers gate the walk between two signers by it (`controller/workload-ca.ts`), the
 * operator the rotation of the built-in root. Pure: the shape, its text, and who counts as alive.
 *
 * Roots are named by the SHA-256 of their DER, lower-case hex (`fingerprintOf`).
 */

/** Annotation of the Lease: a ReplicaReport as compact JSON. */
export const replicaReportAnnotation = 'openservicemesh.io/workload-certificates';

/** Annotation of the Lease: the needed roots themselves, PEM by trust domain, for a replica that has never seen them. */
export const replicaRootsAnnotation = 'openservicemesh.io/workload-roots';

/** The label of these Leases: `app.kubernetes.io/component=controller-replica`. */
export const replicaLeaseLabel = { 'app.kubernetes.io/component': 'controller-replica' } as const;
export const replicaLeaseSelector = 'app.kubernetes.io/component=controller-replica';

/** The Lease of a replica, in the control plane's namespace; owned by its pod. */
export function replicaLeaseName(podName: string): string {
  return `osm-controller-${podName}`;
}

/** Milliseconds between two renewals, and without one after which a replica holds nobody up any more. */
export const replicaRenewMs = 10_000;
export const replicaStaleMs = 30_000;

export interface ReplicaReport {
  /** Roots that its sidecars are given. */
  readonly given: readonly string[];
  /** Roots that every one of its sidecars has acknowledged; all that are given where it has no sidecar. */
  readonly acknowledged: readonly string[];
  /** The root that its new certificates lead to; empty before it has a signer. */
  readonly signing: string;
  /** Roots that certificates lead to which it has handed out and which are still in use. */
  readonly needed: readonly string[];
  /** UID of the MeshRootCertificate that signs here; empty for the built-in authority where nobody chose, and before any. */
  readonly signer: string;
  /** `acknowledged` and `needed` once more, apart by trust domain: a root may be trusted under one and not yet under another. */
  readonly trustDomains: Readonly<Record<string, RootsOfDomain>>;
  /** Connected sidecars. */
  readonly sidecars: number;
  /** How many of them have not acknowledged what is given, and the first few as `<namespace>/<pod>`. */
  readonly behind: number;
  readonly behindNamed: readonly string[];
  /** What is wrong with providers as this replica sees them: the one that leads tells users for all. */
  readonly troubles?: readonly ReportedTrouble[];
}

export interface ReportedTrouble {
  readonly key: string;
  readonly message: string;
  /** Name of the MeshRootCertificate; left out for the built-in authority where nobody chose. */
  readonly rootCertificate?: string | undefined;
}

export interface RootsOfDomain {
  readonly acknowledged: readonly string[];
  readonly needed: readonly string[];
}

/** The annotation's text: one report has one text. */
export function writeReport(report: ReplicaReport): string {
  const { given, acknowledged, signing, needed, signer, sidecars, behind, behindNamed, troubles = [] } = report;
  const trustDomains = Object.fromEntries(
    Object.entries(report.trustDomains)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([domain, roots]) => [
        domain,
        { acknowledged: roots.acknowledged.toSorted(), needed: roots.needed.toSorted() },
      ]),
  );
  return JSON.stringify({
    given: given.toSorted(),
    acknowledged: acknowledged.toSorted(),
    signing,
    needed: needed.toSorted(),
    signer,
    trustDomains,
    sidecars,
    behind,
    behindNamed,
    ...(troubles.length === 0 ? {} : { troubles }),
  });
}

/** Undefined when the text is no report: somebody else wrote there, or it is missing. Fields of later versions are skipped. */
export function readReport(text: string | undefined): ReplicaReport | undefined {
  const fields = record(parsed(text ?? ''));
  if (fields === undefined) return undefined;
  const [given, acknowledged, needed] = ['given', 'acknowledged', 'needed'].map((key) => strings(fields[key]));
  const { signing } = fields;
  if (given === undefined || acknowledged === undefined || needed === undefined || typeof signing !== 'string') {
    return undefined;
  }
  const domains = Object.entries(record(fields['trustDomains']) ?? {}).map(([domain, value]) => {
    const roots = record(value);
    return [
      domain,
      { acknowledged: strings(roots?.['acknowledged']) ?? [], needed: strings(roots?.['needed']) ?? [] },
    ] as const;
  });
  return {
    ...{ given, acknowledged, needed, signing },
    signer: typeof fields['signer'] === 'string' ? fields['signer'] : '',
    trustDomains: Object.fromEntries(domains),
    sidecars: count(fields['sidecars']),
    behind: count(fields['behind']),
    behindNamed: strings(fields['behindNamed']) ?? [],
    ...(Array.isArray(fields['troubles']) ? { troubles: fields['troubles'].flatMap(troubleIn) } : {}),
  };
}

function troubleIn(value: unknown): ReportedTrouble[] {
  const { key, message, rootCertificate } = record(value) ?? {};
  if (typeof key !== 'string' || typeof message !== 'string') return [];
  return [{ key, message, ...(typeof rootCertificate === 'string' ? { rootCertificate } : {}) }];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function strings(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
}

function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
