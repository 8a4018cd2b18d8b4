/** Who signs now: one source at a time, whose certificates are kept for the accounts that hold them (`certificates/workload-cache.ts`). */
import type { Source } from '#certificates/choice.ts';
import { CertificateError } from '#certificates/error.ts';
import type { DnsNames } from '#certificates/gateway-certificate.ts';
import type { Issuer } from '#certificates/issuer.ts';
import type { IssuedCertificate, WorkloadCertificate } from '#certificates/leaf.ts';
import { fingerprintsIn } from '#certificates/pem.ts';
import { createProof } from '#certificates/proof.ts';
import type { Wanted } from '#certificates/providers/provider.ts';
import { mergeTrust, noTrust, type Trust } from '#certificates/trust.ts';
import { createWorkloadCache, type WorkloadCache, type WorkloadCacheEvent } from '#certificates/workload-cache.ts';
import type { AccountKey } from '#mesh/identity.ts';
import type { ResourceMap } from '#xds/cache/snapshot.ts';
import type { CertificateSource } from './certificate-source.ts';
import { type CurrentTrust, secretsFrom } from './secrets.ts';

export interface SigningOptions {
  readonly wanted: (trustDomain: string) => Wanted;
  /** True when every sidecar trusts these roots. */
  readonly isSpread: (roots: Trust) => boolean;
  readonly trust: CurrentTrust;
  readonly onEvent: (event: WorkloadCacheEvent, signing: Source | undefined) => void;
  /** Another provider, trust domain, lifetime or kind of key: everything is issued anew. */
  readonly onSigning: (source: Source) => void;
  readonly now: () => number;
}

/** Who signs now, for certificates that go to no sidecar. */
export interface CurrentSigner {
  readonly source: Source;
  /** Another one: what was signed before is to be signed anew. The same in every replica. */
  readonly id: string;
  /** PEM of the roots above it, and all that sidecars are given. */
  readonly rootsPem: string;
  readonly trust: Trust;
  /** Throws a CertificateError; also while sidecars do not trust the root above it yet. */
  issueNamed(dnsNames: DnsNames, lifetimeMs: number): Promise<IssuedCertificate>;
}

export interface Signing {
  /** Undefined while there is no signer. */
  readonly by: CertificateSource | undefined;
  /** What it was when it was last found to be trusted: its MeshRootCertificate may say something newer. */
  readonly source: Source | undefined;
  /** Fingerprint of the root that new certificates lead to. */
  readonly root: string | undefined;
  /** Undefined until certificates can be asked for. */
  readonly cache: WorkloadCache | undefined;
  /** True when this source signs: from now on, or already. False while sidecars do not trust it yet. */
  use(source: CertificateSource): boolean;
  /** Undefined while nobody signs. */
  current(): CurrentSigner | undefined;
  /** Gives sidecars their roots although there is no signer that all trust yet. */
  begin(): void;
  /** What the certificates at hand lead to, and those that are made now. */
  inUse(): Trust;
  /** The secrets of an account, as soon as certificates can be asked for and whenever they change. */
  subscribe(account: AccountKey, onSecrets: (secrets: ResourceMap) => void): () => void;
}

export function createSigning(options: SigningOptions): Signing {
  const { wanted, isSpread, now } = options;
  const { promise: first, resolve: setFirst } = Promise.withResolvers<ReturnType<typeof secretsFrom>>();
  /** What a certificate leads to; one value a root, however many certificates. */
  const leadsTo = new WeakMap<WorkloadCertificate, Trust>();
  const anchors = new Map<string, Trust>();
  const proveOnce = createProof();
  let by: CertificateSource | undefined;
  let signing: Source | undefined;
  let root: string | undefined;
  let cache: WorkloadCache | undefined;
  /** What is signed with now: provider, trust domain, lifetime and kind of key. */
  let used = '';
  /** Of the provider and the kind of key. */
  let id = '';

  /** Certificates are issued from now on, by this issuer; those at hand are issued anew. */
  function open(issuer: Issuer): void {
    if (cache !== undefined) return cache.useIssuer(issuer);
    cache = createWorkloadCache({ issuer, onEvent: (event) => options.onEvent(event, signing) });
    setFirst(secretsFrom(cache, options.trust));
  }

  function anchorOf(trustDomain: string, rootPem: string): Trust {
    const key = `${trustDomain} ${rootPem}`;
    const anchor = anchors.get(key) ?? new Map([[trustDomain, rootPem]]);
    anchors.set(key, anchor);
    return anchor;
  }

  /** What a certificate under this root leads to. Throws while a sidecar does not trust that yet. */
  function spreadAnchor(source: CertificateSource, trustDomain: string, rootPem: string): Trust {
    const anchor = anchorOf(trustDomain, rootPem);
    if (isSpread(anchor)) return anchor;
    source.noteRoot(rootPem);
    throw new CertificateError(
      'provider-root-new',
      'The provider signs under a root that sidecars do not trust yet; it is being spread to them, and the next try will do',
    );
  }

  function issuerOf(source: CertificateSource, trustDomain: string): Issuer {
    return {
      async issueWorkload(account, onWaiting) {
        if (source.made === undefined) throw new CertificateError('provider-unreachable', 'The provider is gone');
        const issued = await source.made.provider.issue(account, wanted(trustDomain), onWaiting);
        const { certificate, rootPem } = issued;
        await proveOnce(issued);
        leadsTo.set(certificate, spreadAnchor(source, trustDomain, rootPem));
        if (source === by) [root] = fingerprintsIn(rootPem);
        return certificate;
      },
    };
  }

  return {
    get by() {
      return by;
    },
    get source() {
      return signing;
    },
    get root() {
      return root;
    },
    get cache() {
      return cache;
    },
    use(source) {
      const { made } = source;
      const roots = source.signs();
      const { trustDomain } = source.source;
      if (made === undefined || roots.size === 0 || !isSpread(roots)) return false;
      const { lifetimeMs, keyType } = wanted(trustDomain);
      // The lifetime too: a shorter one is asked for because live certificates last too long, so they are issued anew.
      const identity = JSON.stringify([made.id, trustDomain, lifetimeMs, keyType]);
      by = source;
      signing = source.source;
      id = JSON.stringify([made.id, keyType]);
      if (identity === used) return true;
      used = identity;
      [root] = fingerprintsIn([...roots.values()].join(''));
      open(issuerOf(source, trustDomain));
      options.onSigning(source.source);
      return true;
    },
    current() {
      if (by === undefined || signing === undefined) return undefined;
      const source = by;
      const { trustDomain } = signing;
      return {
        ...{ source: signing, id, trust: options.trust.current() },
        rootsPem: source.signs().get(trustDomain) ?? '',
        async issueNamed(dnsNames, lifetimeMs) {
          if (source.made === undefined) throw new CertificateError('provider-unreachable', 'The provider is gone');
          const lasting = { ...wanted(trustDomain), lifetimeMs };
          const { certificate, rootPem } = await source.made.provider.issueNamed(dnsNames, lasting);
          spreadAnchor(source, trustDomain, rootPem);
          return certificate;
        },
      };
    },
    begin() {
      if (cache === undefined) open(nobody);
    },
    inUse() {
      const certificates = cache?.inUse() ?? [];
      const held = new Set(certificates.flatMap((certificate) => leadsTo.get(certificate) ?? []));
      return mergeTrust([by?.signs() ?? noTrust, ...held], now());
    },
    subscribe(account, onSecrets) {
      let over = false;
      let stop: (() => void) | undefined;
      void first.then((subscribe) => {
        if (!over) stop = subscribe(account, onSecrets);
      });
      return () => {
        over = true;
        stop?.();
      };
    },
  };
}

/** While there is no signer that every sidecar trusts. */
const nobody: Issuer = {
  issueWorkload: () =>
    Promise.reject(
      new CertificateError(
        'provider-root-new',
        'Sidecars of other replicas do not trust the provider’s root yet; it is being spread to them',
      ),
    ),
};
