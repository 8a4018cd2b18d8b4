/**
 * What is true of the workload certificates, for status, Events, metrics and the HTTP API. Pure: `controller/workload-ca.ts`
 * gives the state, whoever tells users takes the facts.
 */
import type { Source } from './choice.ts';
import { CertificateError } from './error.ts';
import type { ProviderKind } from './providers/provider.ts';
import type { ReportedTrouble } from './replica-report.ts';

/** Why something does not work: a stable key and a sentence. */
export interface Trouble {
  readonly key: string;
  readonly message: string;
}

export interface CertificateState {
  /** Who signs now; undefined before the first choice could be put to work. */
  readonly signing: Source | undefined;
  /** Whose roots are given to sidecars now. */
  readonly validating: readonly { readonly source: Source; readonly trouble: Trouble | undefined }[];
  /** Why the MeshRootCertificates as they stand are not followed. */
  readonly choiceProblem: Trouble | undefined;
  /** Accounts whose last try failed; `expiresAt` is the first end among their certificates, undefined when none has one. */
  readonly failing:
    | { readonly accounts: number; readonly error: unknown; readonly expiresAt: number | undefined }
    | undefined;
  /** Of all certificates at hand. Milliseconds since 1970. */
  readonly earliestExpiry: number | undefined;
}

export interface SourceFact {
  readonly provider: ProviderKind;
  /** Name of the MeshRootCertificate; undefined for the built-in one that is used where nobody chose. */
  readonly rootCertificate: string | undefined;
  readonly trustDomain: string;
}

export interface CertificateFacts {
  readonly signing: SourceFact | undefined;
  readonly validating: readonly SourceFact[];
  /** What is wrong, the gravest first; empty when all is well. */
  readonly troubles: readonly (Trouble & { readonly rootCertificate: string | undefined })[];
  readonly accountsFailing: number;
  /** Milliseconds since 1970. */
  readonly earliestExpiry: number | undefined;
}

export function certificateFacts(state: CertificateState): CertificateFacts {
  const { signing, validating, choiceProblem, failing, earliestExpiry } = state;
  const troubles = [
    ...(choiceProblem === undefined ? [] : [{ ...choiceProblem, rootCertificate: undefined }]),
    ...(failing === undefined ? [] : [{ ...failingTrouble(failing, signing), rootCertificate: signing?.root?.name }]),
    ...validating.flatMap(({ source, trouble }) =>
      trouble === undefined ? [] : [{ ...trouble, rootCertificate: source.root?.name }],
    ),
  ];
  return {
    signing: signing && factOf(signing),
    validating: validating.map(({ source }) => factOf(source)),
    troubles,
    accountsFailing: failing?.accounts ?? 0,
    earliestExpiry,
  };
}

/** Also what other replicas find: a provider may be out of reach for one of them alone. What is known already is not said twice. */
export function withTroubles(
  facts: CertificateFacts,
  others: readonly { readonly podName: string; readonly troubles: readonly ReportedTrouble[] }[],
): CertificateFacts {
  const troubles = [...facts.troubles];
  for (const { podName, troubles: theirs } of others) {
    for (const { key, message, rootCertificate } of theirs) {
      if (troubles.some((known) => known.key === key && known.rootCertificate === rootCertificate)) continue;
      troubles.push({ key, message: `At replica ${podName}: ${message}`, rootCertificate });
    }
  }
  return { ...facts, troubles };
}

/** Who signs while something is wrong, as a sentence; empty where it is the signer itself that something is wrong with. */
export function signsMeanwhile({ signing, accountsFailing, troubles }: CertificateFacts): string {
  if (signing === undefined) return 'Nobody signs yet.';
  const { rootCertificate } = signing;
  const inTrouble = rootCertificate !== undefined && troubles.some((each) => each.rootCertificate === rootCertificate);
  if (inTrouble || accountsFailing > 0) return '';
  return `${rootCertificate === undefined ? 'The built-in authority' : `MeshRootCertificate ${rootCertificate}`} signs meanwhile.`;
}

/** No time that changes by itself: what is at hand when a provider fails stays what it is. */
function failingTrouble(
  { error, expiresAt }: NonNullable<CertificateState['failing']>,
  signing: Source | undefined,
): Trouble {
  const { key, message } = troubleOf(error);
  const lasts =
    expiresAt === undefined
      ? 'There is none yet for some accounts, whose pods wait.'
      : `The first of those at hand ends at ${new Date(expiresAt).toISOString()}; it stays in use, and the issue is tried again.`;
  return { key, message: `${nameOf(signing)} issues no certificates: ${message}. ${lasts}` };
}

/** An error as a key and its words. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof CertificateError) return { key: error.reason, message: error.message };
  return { key: 'issue-failed', message: error instanceof Error ? error.message : String(error) };
}

/** How a source is called in a sentence. */
export function nameOf(source: Source | undefined): string {
  if (source === undefined) return 'No provider';
  const kinds: Readonly<Record<ProviderKind, string>> = {
    builtin: 'The built-in authority',
    'cert-manager': 'cert-manager',
    vault: 'Vault',
  };
  const kind = kinds[source.provider.kind];
  return source.root === undefined ? kind : `${kind} (MeshRootCertificate ${source.root.name})`;
}

function factOf({ root, trustDomain, provider }: Source): SourceFact {
  return { provider: provider.kind, rootCertificate: root?.name, trustDomain };
}
