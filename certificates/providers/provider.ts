/** What all providers of certificates have in common. */
import type { Accepted } from '../accept.ts';
import type { CertificateError } from '../error.ts';
import type { KeyType } from '../keys.ts';
import type { WorkloadCertificate } from '../leaf.ts';
import { type Account, type CertificateNames, dnsNamesAlone, workloadNames } from '../names.ts';
import { proveTrusted } from '../proof.ts';
import type { SecretName } from '../secret-store.ts';

/** Also a metric label. */
export type ProviderKind = 'builtin' | 'cert-manager' | 'vault';

/** One value in a Secret of the control plane's namespace. */
export interface SecretKey {
  readonly name: string;
  readonly key: string;
}

/** Where certificates come from, as a MeshRootCertificate says it; a value, so that two can be compared. */
export type ProviderSpec = BuiltinSpec | CertManagerSpec | VaultSpec;

/** The authority in a Secret, made by us or a user's own. */
export interface BuiltinSpec {
  readonly kind: 'builtin';
  readonly secret: SecretName;
}

export interface CertManagerSpec {
  readonly kind: 'cert-manager';
  /** Of the CertificateRequests: the control plane's, and so that of an `Issuer` too. */
  readonly namespace: string;
  readonly issuer: { readonly name: string; readonly kind: string; readonly group: string };
}

export interface VaultSpec {
  readonly kind: 'vault';
  /** E.g. `https://vault.vault.svc:8200`. */
  readonly address: string;
  /** Path of the PKI engine, e.g. `pki` or `teams/mesh/pki`. */
  readonly mount: string;
  readonly role: string;
  /** Vault Enterprise's namespace. */
  readonly vaultNamespace: string | undefined;
  readonly login:
    | { readonly kind: 'token'; readonly secret: SecretKey }
    | { readonly kind: 'kubernetes'; readonly mount: string; readonly role: string };
  /** PEM roots of Vault's own serving certificate; the system's where there is none. */
  readonly ca: SecretKey | undefined;
}

/** What a certificate should be. */
export interface Wanted {
  readonly trustDomain: string;
  readonly lifetimeMs: number;
  readonly keyType: KeyType;
}

export type OnWaiting = (error: CertificateError) => void;

export interface Provider {
  readonly kind: ProviderKind;
  /**
   * A new certificate with a new key, and the root above it. Throws a CertificateError with the provider's own words.
   * `onWaiting` is told when they are not enough for an error yet: the provider may only be slow.
   */
  issue(
    account: Account,
    wanted: Wanted,
    onWaiting?: OnWaiting,
  ): Promise<Accepted & { readonly certificate: WorkloadCertificate }>;
  /** The same for somebody who is no workload, and is known by these names alone: no URI, so no sidecar takes it for one. */
  issueNamed(dnsNames: readonly [string, ...string[]], wanted: Wanted, onWaiting?: OnWaiting): Promise<Accepted>;
  /** PEM roots, as far as the provider tells them without issuing; undefined where only a certificate shows them. */
  publishedRoots(): Promise<string | undefined>;
  /** PEM of that one of them which its certificates lead to, where it is known before one is issued. */
  readonly signsUnder?: string;
  /** It is used no more: what is under way ends now, with an error. */
  close(): void;
}

/** A provider in its own way: whom a certificate is for is to it a list of names. */
export interface Signer extends Pick<Provider, 'kind' | 'publishedRoots' | 'signsUnder' | 'close'> {
  sign(names: CertificateNames, wanted: Wanted, onWaiting?: OnWaiting): Promise<Accepted>;
}

export function providerOf(signer: Signer): Provider {
  const { kind, signsUnder } = signer;
  return {
    kind,
    ...(signsUnder === undefined ? {} : { signsUnder }),
    publishedRoots: () => signer.publishedRoots(),
    close: () => signer.close(),
    async issue(account, wanted, onWaiting) {
      const { trustDomain } = wanted;
      const { certificate, rootPem } = await signer.sign(workloadNames(account, trustDomain), wanted, onWaiting);
      return { certificate: { ...certificate, account, trustDomain }, rootPem };
    },
    issueNamed: (dnsNames, wanted, onWaiting) => signer.sign(dnsNamesAlone(dnsNames), wanted, onWaiting),
  };
}

/** PEM of what peers must trust: asked for, or read off a certificate that nobody uses and whose key is dropped; one that peers refuse shows none. */
export async function discoverRoots(
  provider: Provider,
  throwAway: Account,
  wanted: Wanted,
  onWaiting?: OnWaiting,
): Promise<string> {
  const published = await provider.publishedRoots();
  if (published !== undefined) return published;
  const issued = await provider.issue(throwAway, wanted, onWaiting);
  await proveTrusted(issued);
  return issued.rootPem;
}
