/**
 * The certificate of an ingress gateway in its Secret: whether what stands there is right, and what a right one looks like.
 * Pure, and from the Secret alone: whoever looks at it next, e.g. a controller that has just begun to lead, finds the same.
 */
import { createHash, createPrivateKey, type X509Certificate } from 'node:crypto';
import type { KubeObject } from '#kubernetes/types.ts';
import type { IssuedCertificate } from './leaf.ts';
import { fingerprintOf, isIssuedBy, readCertificates } from './pem.ts';
import { isDue } from './renewal.ts';
import type { SecretName } from './secret-store.ts';
import * as x509 from './x509.ts';

export type DnsNames = readonly [string, ...string[]];

export interface GatewayWanted {
  readonly secret: SecretName;
  readonly meshName: string;
  readonly dnsNames: DnsNames;
  readonly lifetimeMs: number;
  /** Who signs: its identity, which every replica of the controller knows it by, and PEM of the roots above it. */
  readonly signer: { readonly id: string; readonly rootsPem: string };
  /** PEM of all roots that sidecars trust now. */
  readonly trustPem: string;
}

/** Fits a `core/v1` Secret; its `data` is looked at here and goes nowhere. */
export interface GatewaySecret extends KubeObject {
  readonly type?: string;
}

export type GatewayKey =
  | 'missing'
  | 'not-ours'
  | 'unreadable'
  | 'expired'
  | 'names-differ'
  | 'signer-differs'
  | 'lifetime-differs'
  | 'due'
  | 'trust-differs'
  | 'ok';

export interface GatewayDecision {
  readonly key: GatewayKey;
  /** `trust`: the pair stays, `ca.crt` is written anew. */
  readonly action: 'issue' | 'trust' | 'none' | 'refuse';
  readonly message: string;
  /** Whether `ca.crt` beside the pair that is there is what it should be. */
  readonly trusts: boolean;
  /** End of what is there, in milliseconds since 1970; undefined when that is no certificate. */
  readonly notAfter: number | undefined;
}

/** A Secret without both is somebody else's; the operator's own carry the first one, too. */
const ownerLabel = 'openservicemesh.io/managed-by-mesh';
const makerLabel = 'app.kubernetes.io/managed-by';
const maker = 'osm-controller';
const signerAnnotation = 'openservicemesh.io/signer';
const validityAnnotation = 'openservicemesh.io/validity-duration';
const secretType = 'kubernetes.io/tls';

export function decideGateway(secret: GatewaySecret | undefined, wanted: GatewayWanted, now: number): GatewayDecision {
  const name = `Secret ${wanted.secret.namespace}/${wanted.secret.name}`;
  if (secret === undefined) return issue('missing', `${name} is not there.`);
  const { labels = {}, annotations = {} } = secret.metadata;
  if (labels[ownerLabel] !== wanted.meshName || labels[makerLabel] !== maker || secret.type !== secretType) {
    return {
      ...{ key: 'not-ours', action: 'refuse', trusts: false, notAfter: undefined },
      message:
        `${name} was not made by this mesh as a gateway's (it lacks label ${ownerLabel}=${wanted.meshName} or ` +
        `${makerLabel}=${maker}, or has another type than ${secretType}), ` +
        'and is not overwritten: delete it, or name another one in spec.certificate.ingressGateway.secret',
    };
  }
  const pair = readPair(secret);
  if (pair === undefined) return issue('unreadable', `${name} holds no certificate with its key.`);
  const { leaf, others } = pair;
  const notAfter = leaf.validToDate.getTime();
  const trusts = textOf(secret, 'ca.crt') === wanted.trustPem;
  const again = (key: GatewayKey, what: string): GatewayDecision => ({
    ...issue(key, `The certificate in ${name} ${what}.`),
    trusts,
    notAfter,
  });
  if (notAfter <= now) return again('expired', `expired on ${leaf.validToDate.toISOString()}`);
  if (!sameNames(leaf, wanted.dnsNames)) return again('names-differ', `is not for ${wanted.dnsNames.join(', ')}`);
  if (annotations[signerAnnotation] !== hash(wanted.signer.id) || !leadsTo(leaf, others, wanted.signer.rootsPem)) {
    return again('signer-differs', 'was signed by another provider than the one that signs now');
  }
  if (annotations[validityAnnotation] !== validity(wanted.lifetimeMs)) {
    return again('lifetime-differs', `was asked for another lifetime than ${validity(wanted.lifetimeMs)}`);
  }
  const notBefore = leaf.validFromDate.getTime();
  if (isDue({ issuedAt: notBefore, notBefore, notAfter, spread: spreadOf(leaf) }, now)) {
    return again('due', `ends on ${leaf.validToDate.toISOString()} and is due`);
  }
  if (!trusts) {
    const message = `ca.crt of ${name} does not hold the roots that sidecars trust now.`;
    return { key: 'trust-differs', action: 'trust', message, trusts, notAfter };
  }
  return { key: 'ok', action: 'none', message: `${name} holds what it should.`, trusts, notAfter };
}

/** What the Secret holds with a new pair. Keys are in `data`, for the API server alone. */
export function gatewaySecret(wanted: GatewayWanted, pair: IssuedCertificate): GatewaySecret {
  const asked = {
    [signerAnnotation]: hash(wanted.signer.id),
    [validityAnnotation]: validity(wanted.lifetimeMs),
  };
  return secretOf(wanted, asked, { 'tls.crt': base64(pair.chainPem), 'tls.key': base64(pair.privateKey.reveal()) });
}

/** What it holds with the pair that is there, whoever signed that, beside the roots that are wanted. */
export function withTrust(secret: GatewaySecret, wanted: GatewayWanted): GatewaySecret {
  const { annotations = {} } = secret.metadata;
  const ours = ([key]: [string, string]): boolean => [signerAnnotation, validityAnnotation].includes(key);
  const { 'tls.crt': certificate = '', 'tls.key': key = '' } = secret.data ?? {};
  const asked = Object.fromEntries(Object.entries(annotations).filter(ours));
  return secretOf(wanted, asked, { 'tls.crt': certificate, 'tls.key': key });
}

function secretOf(
  wanted: GatewayWanted,
  annotations: Record<string, string>,
  pair: Readonly<Record<'tls.crt' | 'tls.key', string>>,
): GatewaySecret {
  const { name, namespace } = wanted.secret;
  const labels = {
    'app.kubernetes.io/name': 'openservicemesh.io',
    [makerLabel]: maker,
    [ownerLabel]: wanted.meshName,
  };
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace, labels, annotations },
    type: secretType,
    data: { 'ca.crt': base64(wanted.trustPem), ...pair },
  };
}

function issue(key: GatewayKey, message: string): GatewayDecision {
  return { key, action: 'issue', message, trusts: false, notAfter: undefined };
}

function readPair(secret: GatewaySecret): { leaf: X509Certificate; others: X509Certificate[] } | undefined {
  try {
    const [leaf, ...others] = readCertificates(textOf(secret, 'tls.crt'));
    return leaf?.checkPrivateKey(createPrivateKey(textOf(secret, 'tls.key'))) === true ? { leaf, others } : undefined;
  } catch {
    // Not even the cause is kept: a parser's words may quote the key.
    return undefined;
  }
}

function textOf({ data = {} }: GatewaySecret, key: string): string {
  return Buffer.from(data[key] ?? '', 'base64').toString('utf8');
}

/** Exactly these DNS names, in any order, and no name of another kind: a URI would make it a workload's. */
function sameNames(leaf: X509Certificate, wanted: DnsNames): boolean {
  const parsed = new x509.X509Certificate(new Uint8Array(leaf.raw));
  const carried = parsed.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON() ?? [];
  const text = (names: readonly { type: string; value: string }[]): string =>
    JSON.stringify([...new Set(names.map(({ type, value }) => `${type} ${value}`))].toSorted());
  return text(carried) === text(wanted.map((value) => ({ type: 'dns', value })));
}

function leadsTo(leaf: X509Certificate, others: readonly X509Certificate[], rootsPem: string): boolean {
  const roots = readCertificates(rootsPem);
  const path: X509Certificate[] = [];
  for (let below: X509Certificate | undefined = leaf; below !== undefined; ) {
    const current: X509Certificate = below;
    if (roots.some((root) => isIssuedBy(current, root))) return true;
    path.push(current);
    below = others.find((candidate) => !path.includes(candidate) && isIssuedBy(current, candidate));
  }
  return false;
}

/** In [0, 1), of the certificate itself: every controller finds the same time for it. */
function spreadOf(leaf: X509Certificate): number {
  return Number.parseInt(fingerprintOf(leaf).slice(0, 8), 16) / 2 ** 32;
}

function base64(bytes: Uint8Array | string): string {
  return Buffer.from(bytes).toString('base64');
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function validity(ms: number): string {
  return `${Math.round(ms / 1_000)}s`;
}
