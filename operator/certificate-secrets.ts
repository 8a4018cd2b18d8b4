/** What the plan must know of the certificates in our Secrets. Private keys are looked at by nobody here. */
import { X509Certificate } from 'node:crypto';
import { organization, rootCommonName } from '#certificates/ca.ts';
import { annotations, keys } from './ca-secret.ts';
import type {
  ManagedObject,
  ObservedCa,
  ObservedRotation,
  ObservedStandby,
  ObservedWorkloadRoot,
  RootCertificate,
  ServingCertificate,
} from './plan/observed.ts';
import { caBundlesOf } from './plan/trust.ts';
import { rootAnnotations, rootKeys } from './root-secret.ts';

/**
 * Reads the CA in a Secret with `ca.crt`, whose first certificate is the CA's own, and `private.key`. The control-plane CA's
 * may hold former ones (ca-secret.ts).
 */
export function readAuthority(secret: ManagedObject | undefined, name: string): ObservedCa {
  if (secret === undefined) return { kind: 'absent' };
  const unreadable = (what: string): ObservedCa => ({
    kind: 'unreadable',
    message: `Secret ${name}: ${what}; restore it, or delete it to have a new authority made.`,
  });
  const ownPem = decode(secret, keys.certificate);
  if (ownPem === undefined || decode(secret, keys.privateKey) === undefined) {
    return unreadable('ca.crt or private.key is missing');
  }
  const [own] = certificatesOf(ownPem);
  if (own === undefined) return unreadable('ca.crt holds no certificate that can be read');
  const fingerprint = hashOf(own);
  const formerPem = decode(secret, keys.formerCertificate);
  const rotation = formerPem === undefined ? undefined : readRotation(secret, formerPem, fingerprint);
  if (rotation === 'unreadable') return unreadable('former.crt holds no certificate that can be read');
  return {
    kind: 'present',
    authority: {
      resourceVersion: secret.metadata.resourceVersion ?? '',
      rootsPem: formerPem === undefined ? ownPem : `${ownPem.trimEnd()}\n${formerPem}`,
      fingerprint,
      notBefore: Date.parse(own.validFrom),
      notAfter: Date.parse(own.validTo),
      request: secret.metadata.annotations?.[annotations.request],
      rotation,
    },
  };
}

function readRotation(secret: ManagedObject, formerPem: string, to: string): ObservedRotation | 'unreadable' {
  const former = certificatesOf(formerPem);
  const [first] = former;
  if (first === undefined) return 'unreadable';
  const { annotations: stored = {} } = secret.metadata;
  const timeOf = (annotation: string): number | undefined => {
    const time = stored[annotations.rotatingTo] === to ? Date.parse(stored[annotation] ?? '') : Number.NaN;
    return Number.isNaN(time) ? undefined : time;
  };
  return {
    former: former.map(hashOf),
    formerKeyUntil: decode(secret, keys.formerPrivateKey) === undefined ? undefined : Date.parse(first.validTo),
    trustedSince: timeOf(annotations.trustedSince),
    switchedAt: timeOf(annotations.switchedAt),
  };
}

/** Reads the workload root and how its rotation stands. */
export function readWorkloadRoot(secret: ManagedObject | undefined, name: string): ObservedWorkloadRoot {
  const read = readAuthority(secret, name);
  if (secret === undefined || read.kind !== 'present') return read as Exclude<typeof read, { kind: 'present' }>;
  const stored = secret.metadata.annotations ?? {};
  const chain = certificatesOf(decode(secret, rootKeys.certificate) ?? '');
  const since = Date.parse(stored[rootAnnotations.readySince] ?? '');
  return {
    ...read,
    walk: {
      ours: isOurRoot(chain),
      signing: chain.map(hashOf).at(-1) ?? read.authority.fingerprint,
      standby: readStandby(secret, read.authority.fingerprint),
      rotatingTo: stored[rootAnnotations.rotatingTo],
      readySince: Number.isNaN(since) ? undefined : since,
    },
  };
}

/** By its name: Secrets that earlier versions made, and OSM, carry no other mark. */
function isOurRoot([root, ...others]: readonly X509Certificate[]): boolean {
  const names = root?.subject.split('\n') ?? [];
  return (
    root !== undefined &&
    others.length === 0 &&
    root.checkIssued(root) &&
    names.includes(`O=${organization}`) &&
    names.includes(`CN=${rootCommonName}`)
  );
}

/** One that cannot be read is as good as none: nothing waits for it, and the next rotation writes over it. */
function readStandby(secret: ManagedObject, signing: string): ObservedStandby | undefined {
  const [root] = certificatesOf(decode(secret, rootKeys.standbyCertificate) ?? '');
  if (root === undefined || hashOf(root) === signing) return undefined;
  return {
    fingerprint: hashOf(root),
    notBefore: Date.parse(root.validFrom),
    notAfter: Date.parse(root.validTo),
    hasKey: decode(secret, rootKeys.standbyPrivateKey) !== undefined,
  };
}

/** Reads a component's serving certificate; undefined when it is not there or is of no use, and so to be made anew. */
export function readServingCertificate(secret: ManagedObject | undefined): ServingCertificate | undefined {
  if (secret === undefined || decode(secret, 'tls.key') === undefined) return undefined;
  const [certificate] = certificatesOf(decode(secret, 'tls.crt') ?? '');
  if (certificate === undefined) return undefined;
  return {
    signer: signerAmong(certificate, decode(secret, 'ca.crt') ?? ''),
    dnsNames: (certificate.subjectAltName ?? '')
      .split(', ')
      .filter((name) => name.startsWith('DNS:'))
      .map((name) => name.slice('DNS:'.length)),
    notBefore: Date.parse(certificate.validFrom),
    notAfter: Date.parse(certificate.validTo),
  };
}

/** SHA-256 of that one of the CAs which signed a certificate. */
export function signerAmong(certificate: X509Certificate, authoritiesPem: string): string | undefined {
  const signer = certificatesOf(authoritiesPem).find((root) => certificate.verify(root.publicKey));
  return signer === undefined ? undefined : hashOf(signer);
}

/**
 * The CAs that are trusted now, by the `caBundle` of webhooks or beside a serving certificate. ConfigMaps in users' namespaces
 * are not asked: whoever may write there must not give the mesh a root.
 */
export function readTrusted(
  objects: readonly ManagedObject[],
  serving: readonly (ManagedObject | undefined)[],
  now: number,
): RootCertificate[] {
  const bundles = objects
    .filter(({ kind }) => kind === 'MutatingWebhookConfiguration')
    .flatMap(caBundlesOf)
    .map((bundle) => Buffer.from(bundle, 'base64').toString('utf8'));
  const beside = serving.map((secret) => (secret === undefined ? undefined : decode(secret, 'ca.crt')) ?? '');
  const roots = new Map<string, RootCertificate>();
  for (const certificate of [...bundles, ...beside].flatMap(certificatesOf)) {
    const fingerprint = hashOf(certificate);
    if (Date.parse(certificate.validTo) > now) roots.set(fingerprint, { fingerprint, pem: certificate.toString() });
  }
  return [...roots.values()].sort((a, b) => (a.fingerprint < b.fingerprint ? -1 : 1));
}

/** The value of a Secret's key as text; undefined when it is absent or empty. */
export function decode(secret: ManagedObject, key: string): string | undefined {
  const value = secret.data?.[key];
  return value === undefined || value === '' ? undefined : Buffer.from(value, 'base64').toString('utf8');
}

function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch {
    // Not a certificate: as good as none; the callers say so, or make it anew.
    return [];
  }
}

function hashOf(certificate: X509Certificate): string {
  return certificate.fingerprint256.replaceAll(':', '').toLowerCase();
}
